/* Pages that cannot be touched, at the arguments pointers.c leaves out: classes, pointers inside of structures, outputs that
 * are read-only, and the helpers, which raise: alpc §2, statements 25, 290–292. */
#include "../alpc.h"

enum { RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE, SYNC = ALPC_MSGFLG_SYNC_REQUEST, CREATE_HANDLE = 0x20000 };

/* A connection and a request of its client that the server has received. */
struct scene {
    struct alpc_pair p;
    struct msg m;
    struct alpc_context_buffer context;
    DWORD handles;
};
static struct scene scene;

static BOOL scene_open(void)
{
    SIZE_T length = sizeof scene.m;
    if (!alpc_pair_open(&scene.p, MULTIHANDLE, NULL))
        return FALSE;
    msg_init(&scene.m, 4);
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    ALPC_HANDLE_ATTR handle = {.Flags = SAME_ACCESS, .Handle = event};
    if (!CHECK_STATUS(alpc_send_with(scene.p.cli, 0, &scene.m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle),
                      STATUS_SUCCESS, SETUP))
        return FALSE;
    CloseHandle(event);
    scene.context = alpc_context_buffer(NULL);
    BOOL opened = CHECK_STATUS(alpc_receive(scene.p.conn, &scene.m, &length, &scene.context.a, 5000), STATUS_SUCCESS,
                               SETUP);
    GetProcessHandleCount(GetCurrentProcess(), &scene.handles);
    return opened;
}

/* Nothing was made, nothing was sent, and the request is still to be answered. */
static void scene_close(void)
{
    struct msg m;
    SIZE_T length = sizeof m;
    DWORD handles;
    GetProcessHandleCount(GetCurrentProcess(), &handles);
    CHECK_EQ(handles, scene.handles, SETUP);
    CHECK_STATUS(alpc_receive(scene.p.conn, &m, &length, NULL, 0), STATUS_TIMEOUT, SETUP);
    CHECK_STATUS(alpc_receive(scene.p.cli, &m, &length, NULL, 0), STATUS_TIMEOUT, SETUP);
    CHECK_STATUS(alpc_answer(scene.p.conn, &scene.m), STATUS_SUCCESS, SETUP);
    alpc_pair_close(&scene.p);
}

/* A page that can be read alone; outputs there fail, and it stays as it is. */
static UCHAR *read_only_page(void)
{
    static UCHAR *page;
    DWORD old;
    if (page == NULL) {
        page = VirtualAlloc(NULL, 0x1000, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
        memset(page, 0, 0x1000);
        VirtualProtect(page, 0x1000, PAGE_READONLY, &old);
    }
    return page;
}

TEST(classes)
{
    static const struct {
        ULONG class, length;
        BOOL is_set, is_client;
    } classes[] = {
        {0, sizeof(ALPC_BASIC_INFORMATION), FALSE, FALSE},
        {3, 12, FALSE, TRUE},
        {4, sizeof(ALPC_SERVER_INFORMATION) + 128, FALSE, FALSE},
        {11, sizeof(ULONG), FALSE, FALSE},
        {12, sizeof(ALPC_SERVER_SESSION_INFORMATION), FALSE, TRUE},
        {1, sizeof(ALPC_PORT_ATTRIBUTES), TRUE, FALSE},
        {2, sizeof(ALPC_PORT_ASSOCIATE_COMPLETION_PORT), TRUE, FALSE},
        {5, sizeof(ALPC_PORT_MESSAGE_ZONE_INFORMATION), TRUE, FALSE},
        {6, sizeof(ALPC_PORT_COMPLETION_LIST_INFORMATION), TRUE, FALSE},
    };
    ULONG returned;
    NEED_ALPC;
    REQUIRE(scene_open(), SETUP);
    for (int i = 0; i < (int)(sizeof classes / sizeof *classes); i++) {
        HANDLE port = classes[i].is_client ? scene.p.cli : scene.p.conn;
        /* Nothing at all, and all but the last byte. */
        void *places[] = {unmapped(), (char *)before_guard_page(classes[i].length) + 1, NULL};
        for (int place = 0; place < 3; place++) {
            /* Class 4 reads a handle alone, and class 3 a SID, before all of the buffer counts. */
            if (place == 1 && (classes[i].class == 4 || classes[i].class == 3))
                continue;
            context("class %lu, place %d", classes[i].class, place);
            if (classes[i].is_set)
                CHECK_STATUS(NtAlpcSetInformation(port, classes[i].class, places[place], classes[i].length),
                             STATUS_ACCESS_VIOLATION, alpc(291));
            else
                CHECK_STATUS(NtAlpcQueryInformation(port, classes[i].class, places[place], classes[i].length, &returned),
                             STATUS_ACCESS_VIOLATION, alpc(290));
        }
    }
    context("ReturnLength");
    ALPC_SERVER_SESSION_INFORMATION session;
    CHECK_STATUS(NtAlpcQueryInformation(scene.p.cli, 12, &session, sizeof session, unmapped()), STATUS_ACCESS_VIOLATION,
                 alpc(290));
    context(NULL);
    scene_close();
}

TEST(classes_of_messages)
{
    static const ULONG lengths[] = {64, 8, 0, sizeof(ALPC_MESSAGE_HANDLE_INFORMATION)};
    UCHAR buffer[64] = {0};
    ULONG returned;
    NEED_ALPC;
    REQUIRE(scene_open(), SETUP);
    for (ULONG class = 0; class < 4; class++) {
        if (class == 2)
            continue;
        context("class %lu", class);
        CHECK_STATUS(NtAlpcQueryInformationMessage(scene.p.conn, unmapped(), class, buffer, sizeof buffer, &returned),
                     STATUS_ACCESS_VIOLATION, SETUP);
        CHECK_STATUS(NtAlpcQueryInformationMessage(scene.p.conn, &scene.m.h, class, unmapped(), lengths[class],
                                                   &returned),
                     STATUS_ACCESS_VIOLATION, SETUP);
        CHECK_STATUS(NtAlpcQueryInformationMessage(scene.p.conn, &scene.m.h, class, read_only_page(), lengths[class],
                                                   &returned),
                     STATUS_ACCESS_VIOLATION, alpc(292));
        CHECK_STATUS(NtAlpcQueryInformationMessage(scene.p.conn, &scene.m.h, class, buffer, sizeof buffer, unmapped()),
                     STATUS_ACCESS_VIOLATION, SETUP);
    }
    context(NULL);
    scene_close();
}

/* Pointers inside of attributes and object attributes. */
TEST(inner_pointers)
{
    struct msg m;
    HANDLE port = UNTOUCHED;
    UNICODE_STRING name = unicode(scene.p.name), bad_name = {8, 8, unmapped()};
    OBJECT_ATTRIBUTES bad_object = attributes(&bad_name), bad_pointer = attributes(unmapped());
    NEED_ALPC;
    REQUIRE(scene_open(), SETUP);
    void *places[] = {unmapped(), (char *)before_guard_page(1)};
    for (int place = 0; place < 2; place++) {
        void *bad = places[place];
        context("place %d", place);
        ALPC_SECURITY_ATTR security = {.Flags = CREATE_HANDLE, .QoS = bad};
        ALPC_HANDLE_ATTR array = {.Flags = INDIRECT, .Handle = bad, .ObjectType = 2};
        msg_init(&m, 4);
        CHECK_STATUS(alpc_send_with(scene.p.cli, 0, &m, ALPC_SECURITY_ATTRIBUTE, &security, sizeof security),
                     STATUS_ACCESS_VIOLATION, SETUP);
        CHECK_STATUS(alpc_send_with(scene.p.cli, 0, &m, ALPC_HANDLE_ATTRIBUTE, &array, sizeof array),
                     STATUS_ACCESS_VIOLATION, SETUP);
        CHECK_STATUS(NtAlpcCreateSecurityContext(scene.p.cli, 0, &security), STATUS_ACCESS_VIOLATION, SETUP);
    }
    context(NULL);
    OBJECT_ATTRIBUTES *objects[] = {&bad_object, &bad_pointer};
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(NtAlpcCreatePort(&port, objects[i], NULL), STATUS_ACCESS_VIOLATION, SETUP);
        CHECK_STATUS(NtAlpcConnectPortEx(&port, objects[i], NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL),
                     STATUS_ACCESS_VIOLATION, SETUP);
        CHECK_STATUS(NtAlpcConnectPort(&port, &name, objects[i], NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL),
                     STATUS_ACCESS_VIOLATION, SETUP);
        CHECK_STATUS(NtAlpcOpenSenderProcess(&port, scene.p.conn, &scene.m.h, 0, 1, objects[i]), STATUS_ACCESS_VIOLATION,
                     SETUP);
    }
    CHECK_STATUS(NtAlpcConnectPort(&port, &bad_name, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL),
                 STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_PTR(port, UNTOUCHED, SETUP);
    /* Attributes that end too early: each attribute of its own, its last byte missing. */
    for (ULONG bit = 0x80000000; bit >= 0x02000000; bit >>= 1) {
        if (bit == ALPC_TOKEN_ATTRIBUTE)
            continue;
        ULONG size = AlpcGetHeaderSize(bit);
        ALPC_MESSAGE_ATTRIBUTES *a = (void *)((char *)before_guard_page(size) + 4);
        *a = (ALPC_MESSAGE_ATTRIBUTES){bit, bit};
        context("attribute %#lx", bit);
        msg_init(&m, 4);
        CHECK_STATUS(NtAlpcSendWaitReceivePort(scene.p.cli, 0, &m.h, a, NULL, NULL, NULL, NULL),
                     STATUS_ACCESS_VIOLATION, SETUP);
    }
    context(NULL);
    scene_close();
}

TEST(outputs_that_are_read_only)
{
    struct msg m, r;
    SIZE_T length = sizeof r, actual;
    HANDLE handle = UNTOUCHED, section;
    LARGE_INTEGER poll = {.QuadPart = 0};
    OBJECT_ATTRIBUTES oa = attributes(NULL);
    void *page = read_only_page();
    NEED_ALPC;
    REQUIRE(scene_open(), SETUP);
    UNICODE_STRING name = unicode(scene.p.name);
    CHECK_STATUS(NtAlpcCreatePort(page, NULL, NULL), STATUS_ACCESS_VIOLATION, alpc(25));
    CHECK_STATUS(NtAlpcConnectPort(page, &name, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL),
                 STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcAcceptConnectPort(page, scene.p.conn, 0, NULL, NULL, NULL, &scene.m.h, NULL, TRUE),
                 STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcCreatePortSection(scene.p.conn, 0, NULL, 1, page, &actual), STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcCreatePortSection(scene.p.conn, 0, NULL, 1, &section, page), STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcCreateSectionView(scene.p.conn, 0, page), STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcCreateResourceReserve(scene.p.conn, 0, 64, page), STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcCreateSecurityContext(scene.p.conn, 0, page), STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcOpenSenderProcess(page, scene.p.conn, &scene.m.h, 0, 1, &oa), STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcOpenSenderThread(page, scene.p.conn, &scene.m.h, 0, 1, &oa), STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcImpersonateClientOfPort(scene.p.srv, unmapped(), NULL), STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcImpersonateClientContainerOfPort(scene.p.srv, unmapped(), 0), STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcSendWaitReceivePort(scene.p.conn, 0, NULL, NULL, page, &length, NULL, &poll),
                 STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcSendWaitReceivePort(scene.p.conn, 0, NULL, NULL, &r.h, &length, page, &poll),
                 STATUS_ACCESS_VIOLATION, SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(NtAlpcSendWaitReceivePort(scene.p.cli, SYNC, &m.h, NULL, page, &length, NULL, NULL),
                 STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_PTR(handle, UNTOUCHED, SETUP);
    scene_close();
}

/* The helpers are ntdll's own code: each bad pointer raises, here until the page is there. */
static void *missing_page;
static ULONG raised;

static LONG CALLBACK supply_page(EXCEPTION_POINTERS *info)
{
    const EXCEPTION_RECORD *record = info->ExceptionRecord;
    if (record->ExceptionCode != (DWORD)STATUS_ACCESS_VIOLATION || record->NumberParameters < 2 ||
        (record->ExceptionInformation[1] & ~(ULONG_PTR)0xFFF) != (ULONG_PTR)missing_page)
        return EXCEPTION_CONTINUE_SEARCH;
    raised++;
    VirtualAlloc(missing_page, 0x1000, MEM_COMMIT, PAGE_READWRITE);
    return EXCEPTION_CONTINUE_EXECUTION;
}

static ALPC_COMPLETION_LIST_HEADER empty_list;
static void required(void *bad) { AlpcInitializeMessageAttribute(0, NULL, 0, bad); }
static void buffer(void *bad) { AlpcInitializeMessageAttribute(0, bad, 64, &(SIZE_T){0}); }
static void attribute(void *bad) { AlpcGetMessageAttribute(bad, ALPC_VIEW_ATTRIBUTE); }
static void worker(void *bad) { AlpcRegisterCompletionListWorkerThread(bad); }
static void no_worker(void *bad) { AlpcUnregisterCompletionListWorkerThread(bad); }
static void outstanding(void *bad) { AlpcGetOutstandingCompletionListMessageCount(bad); }
static void last_list(void *bad) { AlpcGetCompletionListLastMessageInformation(bad, &(ULONG){0}, &(ULONG){0}); }
static void last_id(void *bad) { AlpcGetCompletionListLastMessageInformation(&empty_list, bad, &(ULONG){0}); }
static void last_callback(void *bad) { AlpcGetCompletionListLastMessageInformation(&empty_list, &(ULONG){0}, bad); }
static void message(void *bad) { AlpcGetMessageFromCompletionList(bad, NULL); }
static void freed(void *bad) { AlpcFreeCompletionListMessage(bad, bad); }
static void attributes_of(void *bad) { AlpcGetCompletionListMessageAttributes(bad, bad); }

TEST(helpers)
{
    static void (*const helpers[])(void *) = {required,  buffer,  attribute,     worker,  no_worker, outstanding,
                                              last_list, last_id, last_callback, message, freed,     attributes_of};
    NEED_ALPC;
    PVOID handler = AddVectoredExceptionHandler(1, supply_page);
    REQUIRE(handler != NULL, SETUP);
    for (int i = 0; i < (int)(sizeof helpers / sizeof *helpers); i++) {
        missing_page = VirtualAlloc(NULL, 0x1000, MEM_RESERVE, PAGE_NOACCESS);
        raised = 0;
        context("helper %d", i);
        helpers[i](missing_page);
        CHECK_EQ(raised, 1, SETUP);
        VirtualFree(missing_page, 0, MEM_RELEASE);
    }
    context(NULL);
    RemoveVectoredExceptionHandler(handler);
}
