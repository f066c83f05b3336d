/* Bad pointers at every argument of the ALPC calls: a status, never an exception, and nothing done; alpc §2, statements 25, 290. */
#include "../alpc.h"

enum { RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE, SYNC = ALPC_MSGFLG_SYNC_REQUEST };

/* Checks `call` for the pointer `bad` at two kinds of places where nothing can be read. */
#define EACH_BAD(call, cite)                                                                                           \
    do {                                                                                                               \
        void *const places[] = {unmapped(), (char *)before_guard_page(1)};                                             \
        for (int place_ = 0; place_ < 2; place_++) {                                                                   \
            void *bad = places[place_];                                                                                \
            context("place %d", place_);                                                                               \
            CHECK_STATUS(call, STATUS_ACCESS_VIOLATION, cite);                                                         \
        }                                                                                                              \
        context(NULL);                                                                                                 \
    } while (0)

TEST(creating_and_connecting)
{
    HANDLE port = UNTOUCHED;
    WCHAR name[64];
    struct msg m;
    SIZE_T length = sizeof m;
    HANDLE conn;
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&conn, name, 0, 0x400), STATUS_SUCCESS, SETUP);
    UNICODE_STRING string = unicode(name);
    msg_init(&m, 4);
    EACH_BAD(NtAlpcCreatePort(bad, NULL, NULL), alpc(25));
    EACH_BAD(NtAlpcCreatePort(&port, bad, NULL), SETUP);
    EACH_BAD(NtAlpcCreatePort(&port, NULL, bad), SETUP);
    EACH_BAD(NtAlpcConnectPort(bad, &string, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), SETUP);
    EACH_BAD(NtAlpcConnectPort(&port, bad, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), SETUP);
    EACH_BAD(NtAlpcConnectPort(&port, &string, bad, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), SETUP);
    EACH_BAD(NtAlpcConnectPort(&port, &string, NULL, bad, 0, NULL, NULL, NULL, NULL, NULL, NULL), SETUP);
    EACH_BAD(NtAlpcConnectPort(&port, &string, NULL, NULL, 0, bad, NULL, NULL, NULL, NULL, NULL), SETUP);
    EACH_BAD(NtAlpcConnectPort(&port, &string, NULL, NULL, 0, NULL, bad, NULL, NULL, NULL, NULL), SETUP);
    EACH_BAD(NtAlpcConnectPort(&port, &string, NULL, NULL, SYNC, NULL, &m.h, bad, NULL, NULL, NULL), SETUP);
    EACH_BAD(NtAlpcConnectPort(&port, &string, NULL, NULL, 0, NULL, &m.h, &length, bad, NULL, NULL), SETUP);
    EACH_BAD(NtAlpcConnectPort(&port, &string, NULL, NULL, 0, NULL, &m.h, &length, NULL, bad, NULL), SETUP);
    EACH_BAD(NtAlpcConnectPort(&port, &string, NULL, NULL, 0, NULL, &m.h, &length, NULL, NULL, bad), SETUP);
    EACH_BAD(NtAlpcConnectPortEx(&port, bad, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), SETUP);
    CHECK_PTR(port, UNTOUCHED, SETUP);
    /* None of them left a request behind. */
    CHECK_STATUS(alpc_receive(conn, &m, &length, NULL, 0), STATUS_TIMEOUT, SETUP);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

TEST(messages)
{
    struct alpc_pair pair;
    struct msg m, r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    msg_init(&m, 4);
    EACH_BAD(NtAlpcSendWaitReceivePort(pair.cli, RELEASE, bad, NULL, NULL, NULL, NULL, NULL), SETUP);
    EACH_BAD(NtAlpcSendWaitReceivePort(pair.cli, RELEASE, &m.h, bad, NULL, NULL, NULL, NULL), SETUP);
    EACH_BAD(NtAlpcSendWaitReceivePort(pair.cli, SYNC, &m.h, NULL, bad, NULL, NULL, NULL), SETUP);
    EACH_BAD(NtAlpcSendWaitReceivePort(pair.cli, SYNC, &m.h, NULL, &r.h, bad, NULL, NULL), SETUP);
    EACH_BAD(NtAlpcSendWaitReceivePort(pair.cli, SYNC, &m.h, NULL, &r.h, &length, bad, NULL), SETUP);
    EACH_BAD(NtAlpcSendWaitReceivePort(pair.cli, SYNC, &m.h, NULL, &r.h, &length, NULL, bad), SETUP);
    /* Data that cannot be read, behind a header that can. */
    PORT_MESSAGE *header = before_guard_page(sizeof *header);
    memset(header, 0, sizeof *header);
    header->DataLength = 8;
    header->TotalLength = sizeof *header + 8;
    CHECK_STATUS(NtAlpcSendWaitReceivePort(pair.cli, RELEASE, header, NULL, NULL, NULL, NULL, NULL),
                 STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 0), STATUS_TIMEOUT, SETUP);
    alpc_pair_close(&pair);
}

TEST(the_others)
{
    struct alpc_pair pair;
    HANDLE handle = UNTOUCHED, section;
    SIZE_T actual;
    struct msg m;
    OBJECT_ATTRIBUTES oa = attributes(NULL);
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    msg_init(&m, 4);
    m.h.MessageId = 5;
    EACH_BAD(NtAlpcAcceptConnectPort(bad, pair.conn, 0, NULL, NULL, NULL, &m.h, NULL, TRUE), SETUP);
    EACH_BAD(NtAlpcAcceptConnectPort(&handle, pair.conn, 0, bad, NULL, NULL, &m.h, NULL, TRUE), SETUP);
    EACH_BAD(NtAlpcAcceptConnectPort(&handle, pair.conn, 0, NULL, bad, NULL, &m.h, NULL, TRUE), SETUP);
    EACH_BAD(NtAlpcAcceptConnectPort(&handle, pair.conn, 0, NULL, NULL, NULL, bad, NULL, TRUE), SETUP);
    EACH_BAD(NtAlpcCancelMessage(pair.conn, 0, bad), SETUP);
    EACH_BAD(NtAlpcQueryInformation(pair.conn, 0, bad, sizeof(ALPC_BASIC_INFORMATION), NULL), alpc(290));
    EACH_BAD(NtAlpcQueryInformation(pair.conn, 0, &m, sizeof m, bad), SETUP);
    EACH_BAD(NtAlpcSetInformation(pair.conn, 1, bad, sizeof(ALPC_PORT_ATTRIBUTES)), alpc(291));
    EACH_BAD(NtAlpcQueryInformationMessage(pair.conn, bad, 0, &m, sizeof m, NULL), SETUP);
    EACH_BAD(NtAlpcCreatePortSection(pair.conn, 0, NULL, 1, bad, &actual), SETUP);
    EACH_BAD(NtAlpcCreatePortSection(pair.conn, 0, NULL, 1, &section, bad), SETUP);
    EACH_BAD(NtAlpcCreateSectionView(pair.conn, 0, bad), SETUP);
    EACH_BAD(NtAlpcCreateResourceReserve(pair.conn, 0, 64, bad), SETUP);
    EACH_BAD(NtAlpcCreateSecurityContext(pair.conn, 0, bad), SETUP);
    EACH_BAD(NtAlpcImpersonateClientOfPort(pair.srv, bad, NULL), SETUP);
    EACH_BAD(NtAlpcOpenSenderProcess(bad, pair.srv, &m.h, 0, 1, &oa), SETUP);
    EACH_BAD(NtAlpcOpenSenderProcess(&handle, pair.srv, bad, 0, 1, &oa), SETUP);
    EACH_BAD(NtAlpcOpenSenderThread(&handle, pair.srv, &m.h, 0, 1, bad), SETUP);
    CHECK_PTR(handle, UNTOUCHED, SETUP);
    alpc_pair_close(&pair);
}
