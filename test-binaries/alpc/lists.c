/* Completion lists of ports: registration, delivery, rundown. alpc §2.17, statements 307–330. */
#include "../alpc.h"

enum { LIST_SIZE = 0x10000 };

static ALPC_COMPLETION_LIST_HEADER *new_list(void)
{
    return VirtualAlloc(NULL, LIST_SIZE, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
}

TEST(list_registration)
{
    HANDLE port;
    WCHAR name[64];
    ALPC_COMPLETION_LIST_HEADER *list = new_list();
    ALPC_PORT_COMPLETION_LIST_INFORMATION info = {list, LIST_SIZE, 1, ALPC_CONTEXT_ATTRIBUTE};
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&port, name, 0, 0x400), STATUS_SUCCESS, SETUP);
    memset(list, 0xCC, LIST_SIZE);
    CHECK_STATUS(NtAlpcSetInformation(port, 6, &info, sizeof info - 4), STATUS_INFO_LENGTH_MISMATCH, alpc(311));
    CHECK_STATUS(NtAlpcSetInformation(port, 6, &info, sizeof info), STATUS_SUCCESS, alpc(311));
    CHECK_EQ(list->StartMagic, ALPC_COMPLETION_LIST_START_MAGIC, alpc(307));
    CHECK_EQ(list->EndMagic, ALPC_COMPLETION_LIST_END_MAGIC, alpc(307));
    CHECK_EQ(list->TotalSize, LIST_SIZE, alpc(308));
    CHECK_EQ(list->State.Value, 0xFFFFFFFFFFFFull, alpc(308));
    CHECK_EQ(list->PostCount, 0, alpc(308));
    CHECK_EQ(list->ReturnCount, 0, alpc(308));
    CHECK_PTR(list->UserLock, NULL, alpc(308));
    CHECK_EQ(list->AttributeFlags, ALPC_CONTEXT_ATTRIBUTE, alpc(308));
    CHECK_EQ(list->DataOffset % 64, 0, alpc(309));
    CHECK_EQ(list->DataSize % 64, 0, alpc(309));
    CHECK(list->DataOffset + list->DataSize <= LIST_SIZE, alpc(309));
    CHECK_STATUS(NtAlpcSetInformation(port, 6, &info, sizeof info), STATUS_PORT_ALREADY_HAS_COMPLETION_LIST, alpc(310));
    CHECK_STATUS(AlpcAdjustCompletionListConcurrencyCount(port, 2), STATUS_SUCCESS, alpc(326));
    CHECK_STATUS(NtAlpcSetInformation(port, 7, NULL, 0), STATUS_SUCCESS, alpc(328));
    CHECK_STATUS(AlpcRegisterCompletionList(port, list, LIST_SIZE, 1, 0), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(AlpcUnregisterCompletionList(port), STATUS_SUCCESS, SETUP);
    NtClose(port);
    VirtualFree(list, 0, MEM_RELEASE);
}

TEST(list_before_the_first_client)
{
    struct alpc_pair p = {.conn = NULL};
    struct msg m;
    ALPC_COMPLETION_LIST_HEADER *list = new_list();
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&p.conn, p.name, 0, 0x400), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(AlpcRegisterCompletionList(p.conn, list, LIST_SIZE, 1, 0), STATUS_SUCCESS, SETUP);
    UNICODE_STRING name = unicode(p.name);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0, 0x400);
    REQUIRE_STATUS(
        NtAlpcConnectPort(&p.cli, &name, NULL, &port_attributes, 0, NULL, NULL, NULL, NULL, NULL, NULL),
        STATUS_SUCCESS, SETUP);
    SIZE_T length = sizeof m;
    REQUIRE_STATUS(alpc_receive(p.conn, &m, &length, NULL, 5000), STATUS_SUCCESS, alpc(329));
    CHECK_EQ(m.h.Type & 0xFF, LPC_CONNECTION_REQUEST, alpc(329));
    REQUIRE_STATUS(NtAlpcAcceptConnectPort(&p.srv, p.conn, 0, NULL, NULL, (PVOID)9, &m.h, NULL, TRUE), STATUS_SUCCESS,
                   alpc(329));
    msg_init(&m, 20);
    REQUIRE_STATUS(alpc_send(p.cli, 0, &m), STATUS_SUCCESS, alpc(330));
    PORT_MESSAGE *message = NULL;
    for (int i = 0; i < 500 && message == NULL; i++) {
        message = AlpcGetMessageFromCompletionList(list, NULL);
        if (message == NULL)
            Sleep(10);
    }
    REQUIRE(message != NULL, alpc(330));
    CHECK_EQ(message->DataLength, 20, alpc(330));
    CHECK_EQ(memcmp(message + 1, m.data, 20), 0, alpc(330));
    AlpcFreeCompletionListMessage(list, message);
    CHECK_STATUS(AlpcUnregisterCompletionList(p.conn), STATUS_SUCCESS, alpc(328));
    alpc_pair_close(&p);
    VirtualFree(list, 0, MEM_RELEASE);
}

TEST(messages_in_a_list)
{
    struct alpc_pair p;
    struct msg m, reply;
    ALPC_COMPLETION_LIST_HEADER *list = new_list();
    ALPC_MESSAGE_ATTRIBUTES *message_attributes = NULL;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, (PVOID)0x77), SETUP);
    REQUIRE_STATUS(AlpcRegisterCompletionList(p.conn, list, LIST_SIZE, 1, ALPC_CONTEXT_ATTRIBUTE), STATUS_SUCCESS,
                   SETUP);
    CHECK_EQ(AlpcGetOutstandingCompletionListMessageCount(list), 0, alpc(315));
    msg_init(&m, 100);
    REQUIRE_STATUS(alpc_send(p.cli, 0, &m), STATUS_SUCCESS, SETUP);
    for (int i = 0; i < 500 && AlpcGetOutstandingCompletionListMessageCount(list) == 0; i++)
        Sleep(10);
    CHECK_EQ(AlpcGetOutstandingCompletionListMessageCount(list), 1, alpc(315));
    PORT_MESSAGE *message = AlpcGetMessageFromCompletionList(list, &message_attributes);
    REQUIRE(message != NULL, alpc(315));
    CHECK_EQ(message->Type & 0xFF, LPC_REQUEST, alpc(315));
    CHECK_EQ(message->DataLength, 100, alpc(315));
    CHECK_EQ(memcmp(message + 1, m.data, 100), 0, alpc(315));
    CHECK_EQ(list->LastMessageId, message->MessageId, alpc(316));
    REQUIRE(message_attributes != NULL, alpc(317));
    CHECK_EQ(message_attributes->AllocatedAttributes, ALPC_CONTEXT_ATTRIBUTE, alpc(317));
    CHECK_EQ(message_attributes->ValidAttributes, ALPC_CONTEXT_ATTRIBUTE, alpc(317));
    ALPC_CONTEXT_ATTR *received = AlpcGetMessageAttribute(message_attributes, ALPC_CONTEXT_ATTRIBUTE);
    CHECK_EQ(received->MessageId, message->MessageId, alpc(317));
    CHECK_PTR(received->PortContext, (PVOID)0x77, alpc(317));
    /* The message is answered as any other. */
    memcpy(&reply.h, message, sizeof reply.h);
    msg_text(&reply, "answer");
    reply.h.MessageId = message->MessageId;
    CHECK_STATUS(alpc_send(p.conn, ALPC_MSGFLG_RELEASE_MESSAGE, &reply), STATUS_SUCCESS, SETUP);
    SIZE_T length = sizeof m;
    CHECK_STATUS(alpc_receive(p.cli, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(memcmp(m.data, "answer", 6), 0, SETUP);
    AlpcFreeCompletionListMessage(list, message);
    CHECK_EQ(AlpcGetOutstandingCompletionListMessageCount(list), 0, alpc(318));
    alpc_pair_close(&p);
    VirtualFree(list, 0, MEM_RELEASE);
}

TEST(full_list_loses_nothing)
{
    enum { SMALL = 0x1000, MESSAGES = 200 };
    struct alpc_pair p;
    struct msg m;
    ALPC_COMPLETION_LIST_HEADER *list = new_list();
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE_STATUS(AlpcRegisterCompletionList(p.conn, list, SMALL, 1, 0), STATUS_SUCCESS, SETUP);
    for (int i = 0; i < MESSAGES; i++) {
        msg_init(&m, 4);
        memcpy(m.data, &i, 4);
        REQUIRE_STATUS(alpc_send(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, SETUP);
    }
    for (int i = 0; i < MESSAGES; i++) {
        int number = -1;
        PORT_MESSAGE *message = AlpcGetMessageFromCompletionList(list, NULL);
        REQUIRE(message != NULL, alpc(330));
        memcpy(&number, message + 1, 4);
        CHECK_EQ(number, i, alpc(330));
        AlpcFreeCompletionListMessage(list, message);
    }
    CHECK_PTR(AlpcGetMessageFromCompletionList(list, NULL), NULL, alpc(312));
    alpc_pair_close(&p);
    VirtualFree(list, 0, MEM_RELEASE);
}

TEST(rundown)
{
    struct alpc_pair p;
    struct msg m;
    ALPC_COMPLETION_LIST_HEADER *list = new_list();
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE_STATUS(AlpcRegisterCompletionList(p.conn, list, LIST_SIZE, 1, 0), STATUS_SUCCESS, SETUP);
    msg_init(&m, 4);
    REQUIRE_STATUS(alpc_send(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, SETUP);
    for (int i = 0; i < 500 && AlpcGetOutstandingCompletionListMessageCount(list) == 0; i++)
        Sleep(10);
    CHECK_STATUS(AlpcRundownCompletionList(p.conn), STATUS_SUCCESS, alpc(327));
    CHECK_EQ(AlpcGetOutstandingCompletionListMessageCount(list), 0, alpc(327));
    CHECK_PTR(AlpcGetMessageFromCompletionList(list, NULL), NULL, alpc(327));
    alpc_pair_close(&p);
    VirtualFree(list, 0, MEM_RELEASE);
}

/* A worker that takes what is in the list, and sleeps in the call when it is empty. */
struct list_worker {
    HANDLE port;
    PVOID list;
    volatile LONG taken;
    volatile LONG checks;
};

static void list_run(void *arg)
{
    struct list_worker *w = arg;
    for (BOOL ends = FALSE; !ends;) {
        PORT_MESSAGE *message;
        AlpcRegisterCompletionListWorkerThread(w->list);
        do {
            while ((message = AlpcGetMessageFromCompletionList(w->list, NULL)) != NULL) {
                ends |= message->DataLength == 1;
                AlpcFreeCompletionListMessage(w->list, message);
                w->taken++;
            }
        } while (!AlpcUnregisterCompletionListWorkerThread(w->list));
        struct msg m;
        SIZE_T length = sizeof m;
        if (!ends && alpc_receive(w->port, &m, &length, NULL, 5000) == (NTSTATUS)STATUS_ALPC_CHECK_COMPLETION_LIST)
            w->checks++;
    }
}

TEST(blocked_worker_is_sent_to_the_list)
{
    enum { MESSAGES = 1000 };
    struct alpc_pair p;
    struct msg m;
    struct worker worker;
    struct list_worker w = {0};
    ALPC_COMPLETION_LIST_HEADER *list = new_list();
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE_STATUS(AlpcRegisterCompletionList(p.conn, list, LIST_SIZE, 1, 0), STATUS_SUCCESS, SETUP);
    w.port = p.conn;
    w.list = list;
    REQUIRE(spawn(&worker, list_run, &w), SETUP);
    CHECK(still_runs(&worker), SETUP);
    for (int i = 0; i <= MESSAGES; i++) {
        msg_init(&m, i == MESSAGES ? 1 : 8);
        REQUIRE_STATUS(alpc_send(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, SETUP);
    }
    join(&worker);
    CHECK_EQ(w.taken, MESSAGES + 1, alpc(315));
    CHECK(w.checks > 0, SETUP);
    note("%d messages for %d wakes", MESSAGES + 1, (int)w.checks);
    alpc_pair_close(&p);
    VirtualFree(list, 0, MEM_RELEASE);
}

TEST(packets_tell_of_a_list)
{
    struct alpc_pair p;
    struct msg m;
    ULONG_PTR key = 0;
    HANDLE completion = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    ALPC_COMPLETION_LIST_HEADER *list = new_list();
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE_STATUS(AlpcRegisterCompletionList(p.conn, list, LIST_SIZE, 1, 0), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_associate(p.conn, completion, 3, sizeof(ALPC_PORT_ASSOCIATE_COMPLETION_PORT)), STATUS_SUCCESS,
                   SETUP);
    msg_init(&m, 8);
    REQUIRE_STATUS(alpc_send(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, SETUP);
    CHECK(alpc_packet(completion, &key, 5000), SETUP);
    CHECK_EQ(key, 3, SETUP);
    PORT_MESSAGE *message = AlpcGetMessageFromCompletionList(list, NULL);
    REQUIRE(message != NULL, alpc(315));
    AlpcFreeCompletionListMessage(list, message);
    /* While a worker is awake nobody is told; it finds the message itself. */
    AlpcRegisterCompletionListWorkerThread(list);
    REQUIRE_STATUS(alpc_send(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, SETUP);
    CHECK(!alpc_packet(completion, &key, 100), SETUP);
    message = AlpcGetMessageFromCompletionList(list, NULL);
    REQUIRE(message != NULL, alpc(315));
    AlpcFreeCompletionListMessage(list, message);
    CHECK_EQ(AlpcUnregisterCompletionListWorkerThread(list), TRUE, alpc(322));
    REQUIRE_STATUS(alpc_send(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, SETUP);
    CHECK(alpc_packet(completion, &key, 5000), SETUP);
    alpc_pair_close(&p);
    CloseHandle(completion);
    VirtualFree(list, 0, MEM_RELEASE);
}
