/* The worker's side of a completion list: alpc §1.8 and §2.17, statements 312–325. The lists are made by hand. */
#include "../alpc.h"

enum { CAPACITY = 4, SLOTS = 16, ATTRIBUTE_BYTES = 64 };
enum { EMPTY = 0xFFFFFF };

/* A list with its data behind it. Its header: alpc §1.8. */
struct list {
    ALPC_COMPLETION_LIST_HEADER h;
    ULONG entries[CAPACITY];
    ULONG bitmap[4];
    ALIGNED(64) UCHAR data[SLOTS * 64];
};
static struct list list;

static void list_init(ULONG attribute_flags)
{
    memset(&list, 0, sizeof list);
    list.h.StartMagic = ALPC_COMPLETION_LIST_START_MAGIC;
    list.h.EndMagic = ALPC_COMPLETION_LIST_END_MAGIC;
    list.h.TotalSize = sizeof list;
    list.h.ListOffset = offsetof(struct list, entries);
    list.h.ListSize = sizeof list.entries;
    list.h.BitmapOffset = offsetof(struct list, bitmap);
    list.h.BitmapSize = sizeof list.bitmap;
    list.h.DataOffset = offsetof(struct list, data);
    list.h.DataSize = sizeof list.data;
    list.h.AttributeFlags = attribute_flags;
    list.h.AttributeSize = attribute_flags != 0 ? ATTRIBUTE_BYTES : 8;
    list.h.State.Head = EMPTY;
    list.h.State.Tail = EMPTY;
    list.bitmap[0] = 0xFFFFFFFF;
}

static PORT_MESSAGE *message_at(ULONG slot, USHORT total)
{
    PORT_MESSAGE *message = (PORT_MESSAGE *)(list.data + 64 * slot);
    message->TotalLength = total;
    message->DataLength = total > HEADER ? total - HEADER : 0;
    message->MessageId = 0x1000 + slot;
    message->CallbackId = 0x2000 + slot;
    return message;
}

TEST(header_layout)
{
    CHECK_EQ(offsetof(ALPC_COMPLETION_LIST_HEADER, State), 0x80, SETUP);
    CHECK_EQ(offsetof(ALPC_COMPLETION_LIST_HEADER, PostCount), 0x100, SETUP);
    CHECK_EQ(offsetof(ALPC_COMPLETION_LIST_HEADER, ReturnCount), 0x180, SETUP);
    CHECK_EQ(offsetof(ALPC_COMPLETION_LIST_HEADER, UserLock), 0x280, SETUP);
    CHECK_EQ(offsetof(ALPC_COMPLETION_LIST_HEADER, EndMagic), 0x288, SETUP);
    CHECK_EQ(sizeof(ALPC_COMPLETION_LIST_HEADER), 0x300, SETUP);
}

TEST(empty_list_gives_nothing)
{
    ALPC_MESSAGE_ATTRIBUTES *attributes = (void *)&list;
    NEED_HELPERS;
    list_init(ALPC_CONTEXT_ATTRIBUTE);
    list.h.State.ActiveThreadCount = 3;
    ULONG64 before = list.h.State.Value;
    CHECK_PTR(AlpcGetMessageFromCompletionList(&list, &attributes), NULL, alpc(312));
    CHECK_PTR(attributes, &list, alpc(312));
    CHECK_EQ(list.h.State.Value, before, alpc(312));
}

TEST(last_entry_empties_the_list)
{
    ALPC_MESSAGE_ATTRIBUTES *attributes = NULL;
    ULONG id = 0, callback = 0;
    NEED_HELPERS;
    list_init(ALPC_CONTEXT_ATTRIBUTE);
    PORT_MESSAGE *message = message_at(2, HEADER + 5);
    list.entries[1] = 128;
    list.h.State.Head = list.h.State.Tail = 1;
    list.h.State.ActiveThreadCount = 0xFFFF;
    CHECK_PTR(AlpcGetMessageFromCompletionList(&list, &attributes), message, alpc(313));
    CHECK_EQ(list.h.State.Head, EMPTY, alpc(313));
    CHECK_EQ(list.h.State.Tail, EMPTY, alpc(313));
    CHECK_EQ(list.h.State.ActiveThreadCount, 0xFFFF, alpc(313));
    CHECK_PTR(attributes, (UCHAR *)message + ((HEADER + 5 + 7) & ~7), alpc(317));
    CHECK_PTR(AlpcGetCompletionListMessageAttributes(&list, message), attributes, alpc(317));
    CHECK_EQ(list.h.LastMessageId, 0x1002, alpc(316));
    CHECK_EQ(list.h.LastCallbackId, 0x2002, alpc(316));
    AlpcGetCompletionListLastMessageInformation(&list, &id, &callback);
    CHECK_EQ(id, 0x1002, alpc(316));
    CHECK_EQ(callback, 0x2002, alpc(316));
}

TEST(no_attributes_without_flags)
{
    ALPC_MESSAGE_ATTRIBUTES *attributes = (void *)&list;
    NEED_HELPERS;
    list_init(0);
    PORT_MESSAGE *message = message_at(0, HEADER);
    list.h.State.Head = list.h.State.Tail = 0;
    CHECK_PTR(AlpcGetCompletionListMessageAttributes(&list, message), NULL, alpc(317));
    CHECK_PTR(AlpcGetMessageFromCompletionList(&list, &attributes), message, alpc(317));
    CHECK_PTR(attributes, NULL, alpc(317));
}

TEST(entries_wrap)
{
    NEED_HELPERS;
    list_init(0);
    for (ULONG i = 0; i < CAPACITY; i++) {
        list.entries[i] = 64 * i;
        message_at(i, HEADER);
    }
    list.h.State.Head = 3;
    list.h.State.Tail = 1;
    CHECK_PTR(AlpcGetMessageFromCompletionList(&list, NULL), list.data + 192, alpc(314));
    CHECK_EQ(list.h.State.Head, 0, alpc(314));
    CHECK_EQ(list.h.State.Tail, 1, alpc(314));
    CHECK_PTR(AlpcGetMessageFromCompletionList(&list, NULL), list.data, alpc(314));
    CHECK_EQ(list.h.State.Head, 1, alpc(314));
    CHECK_PTR(AlpcGetMessageFromCompletionList(&list, NULL), list.data + 64, alpc(314));
    CHECK_EQ(list.h.State.Head, EMPTY, alpc(314));
}

TEST(free_clears_the_bits_of_a_message)
{
    NEED_HELPERS;
    list_init(0);
    list.h.PostCount = 10;
    CHECK(AlpcFreeCompletionListMessage(&list, message_at(0, 48)) != 0, alpc(319));
    CHECK_EQ(list.bitmap[0], 0xFFFFFFFE, alpc(319));
    list.bitmap[0] = 0xFFFFFFFF;
    AlpcFreeCompletionListMessage(&list, message_at(2, 96));
    CHECK_EQ(list.bitmap[0], 0xFFFFFFF3, alpc(319));
    list.bitmap[0] = 0xFFFFFFFF;
    AlpcFreeCompletionListMessage(&list, message_at(SLOTS - 1, 48));
    CHECK_EQ(list.bitmap[0], 0xFFFF7FFF, alpc(319));
    CHECK_EQ(list.h.ReturnCount, 3, alpc(319));
    CHECK_EQ(AlpcGetOutstandingCompletionListMessageCount(&list), 7, alpc(318));
    list_init(ALPC_CONTEXT_ATTRIBUTE);
    AlpcFreeCompletionListMessage(&list, message_at(4, 48));
    CHECK_EQ(list.bitmap[0], 0xFFFFFFCF, alpc(319));
}

TEST(free_twice_counts_twice)
{
    NEED_HELPERS;
    list_init(0);
    list.h.PostCount = 1;
    AlpcFreeCompletionListMessage(&list, message_at(1, 1));
    AlpcFreeCompletionListMessage(&list, message_at(1, 1));
    CHECK_EQ(list.bitmap[0], 0xFFFFFFFD, alpc(321));
    CHECK_EQ(list.h.ReturnCount, 2, alpc(321));
    CHECK_EQ(AlpcGetOutstandingCompletionListMessageCount(&list), 0xFFFFFFFF, alpc(321));
}

TEST(free_ignores_what_is_no_message)
{
    NEED_HELPERS;
    list_init(0);
    PORT_MESSAGE *first = message_at(0, 48);
    AlpcFreeCompletionListMessage(&list, (PORT_MESSAGE *)((UCHAR *)first + 8));
    AlpcFreeCompletionListMessage(&list, (PORT_MESSAGE *)(list.data - 64));
    AlpcFreeCompletionListMessage(&list, (PORT_MESSAGE *)(list.data + sizeof list.data));
    AlpcFreeCompletionListMessage(&list, message_at(0, 0));
    AlpcFreeCompletionListMessage(&list, message_at(SLOTS - 1, 65));
    CHECK_EQ(list.bitmap[0], 0xFFFFFFFF, alpc(320));
    CHECK_EQ(list.h.ReturnCount, 0, alpc(320));
}

TEST(workers_are_counted_per_call)
{
    NEED_HELPERS;
    list_init(0);
    CHECK_EQ(AlpcRegisterCompletionListWorkerThread(&list), TRUE, alpc(322));
    CHECK_EQ(AlpcRegisterCompletionListWorkerThread(&list), TRUE, alpc(322));
    CHECK_EQ(list.h.State.ActiveThreadCount, 2, alpc(322));
    CHECK_EQ(AlpcUnregisterCompletionListWorkerThread(&list), TRUE, alpc(322));
    CHECK_EQ(AlpcUnregisterCompletionListWorkerThread(&list), TRUE, alpc(322));
    CHECK_EQ(AlpcUnregisterCompletionListWorkerThread(&list), FALSE, alpc(322));
    CHECK_EQ(list.h.State.ActiveThreadCount, 0, alpc(322));
    list.h.State.ActiveThreadCount = 0xFFFF;
    CHECK_EQ(AlpcRegisterCompletionListWorkerThread(&list), FALSE, alpc(323));
    CHECK_EQ(list.h.State.ActiveThreadCount, 0xFFFF, alpc(323));
    list.h.State.ActiveThreadCount = 1;
    list.h.State.Head = list.h.State.Tail = 0;
    CHECK_EQ(AlpcUnregisterCompletionListWorkerThread(&list), FALSE, alpc(324));
    CHECK_EQ(list.h.State.ActiveThreadCount, 1, alpc(324));
}

static void register_run(void *unused)
{
    (void)unused;
    AlpcRegisterCompletionListWorkerThread(&list);
}

TEST(workers_register_at_once)
{
    struct worker workers[8];
    NEED_HELPERS;
    list_init(0);
    for (int i = 0; i < 8; i++)
        REQUIRE(spawn(&workers[i], register_run, NULL), SETUP);
    for (int i = 0; i < 8; i++)
        join(&workers[i]);
    CHECK_EQ(list.h.State.ActiveThreadCount, 8, alpc(325));
}

/* Workers take and free what one thread puts in: none is lost, none comes twice. */
static volatile LONG taken[4096];
static volatile LONG total_taken;

static void take_run(void *unused)
{
    (void)unused;
    while (total_taken < 4096) {
        PORT_MESSAGE *message = AlpcGetMessageFromCompletionList(&list, NULL);
        if (message == NULL)
            continue;
        InterlockedIncrement(&taken[message->MessageId]);
        AlpcFreeCompletionListMessage(&list, message);
        InterlockedIncrement(&total_taken);
    }
}

TEST(workers_take_each_entry_once)
{
    struct worker workers[2];
    NEED_HELPERS;
    list_init(0);
    list.bitmap[0] = 0;
    memset((void *)taken, 0, sizeof taken);
    total_taken = 0;
    for (int i = 0; i < 2; i++)
        REQUIRE(spawn(&workers[i], take_run, NULL), SETUP);
    for (ULONG id = 0; id < 4096;) {
        ALPC_COMPLETION_LIST_STATE old = {.Value = list.h.State.Value}, new = old;
        ULONG tail = old.Head == EMPTY ? 0 : (old.Tail + 1) % CAPACITY, slot = id % SLOTS;
        if (((*(volatile ULONG *)list.bitmap >> slot) & 1) != 0 || (old.Head != EMPTY && tail == old.Head))
            continue;
        InterlockedOr((LONG *)list.bitmap, 1 << slot);
        message_at(slot, HEADER)->MessageId = id;
        list.entries[tail] = 64 * slot;
        new.Tail = tail;
        new.Head = old.Head == EMPTY ? 0 : old.Head;
        if ((ULONG64)InterlockedCompareExchange64((LONG64 *)&list.h.State.Value, new.Value, old.Value) != old.Value) {
            InterlockedAnd((LONG *)list.bitmap, ~(1 << slot));
            continue;
        }
        id++;
    }
    for (int i = 0; i < 2; i++)
        join(&workers[i]);
    int wrong = 0;
    for (int i = 0; i < 4096; i++)
        wrong += taken[i] != 1;
    CHECK_EQ(wrong, 0, alpc(314));
    CHECK_EQ(list.h.ReturnCount, 4096, alpc(318));
}
