/* The port calls as static imports of ntdll.dll, the way most programs get them; also built with delayed imports. */
#include "../lpctest.h"

TEST(every_call_is_imported)
{
    /* Volatile: a compiler knows that an imported function has an address, and would drop the import. */
#define IMPORTED_(name, args)                                                                                          \
    {                                                                                                                  \
        void *volatile address = (void *)name;                                                                         \
        CHECK(address != NULL, SETUP);                                                                                 \
    }
    NT_CALLS(IMPORTED_)
#undef IMPORTED_
}

TEST(zw_names_are_the_same_calls)
{
    HMODULE ntdll = GetModuleHandleA("ntdll.dll");
    char zw[64];
#define HAS_ZW_(name, args)                                                                                            \
    strcpy(zw, #name);                                                                                                 \
    memcpy(zw, "Zw", 2);                                                                                               \
    context("%s", zw);                                                                                                 \
    CHECK(GetProcAddress(ntdll, zw) != NULL, SETUP);
    NT_CALLS(HAS_ZW_)
#undef HAS_ZW_
}

TEST(conversation)
{
    static struct calling calling;
    struct worker worker;
    struct msg received;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 32);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(NtReplyWaitReceivePort(pair.conn, NULL, NULL, &received.h), STATUS_SUCCESS, lpc(148));
    CHECK_STATUS(NtReplyPort(pair.conn, &received.h), STATUS_SUCCESS, lpc(113));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(109));
    CHECK(memcmp(calling.reply.data, calling.request.data, 32) == 0, lpc(109));
    pair_close(&pair);
}
