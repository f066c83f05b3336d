/* Hashes of bcrypt.h and wincrypt.h. Digests: FIPS 180-4 and RFC 1321 examples, RFC 4231 test case 2. */
#include "../lpctest.h"
#include <bcrypt.h>
#include <stdio.h>
#include <string.h>
#include <wincrypt.h>

WITHOUT_PORTS

static const char *hex(const BYTE *bytes, int count)
{
    static char text[200];
    for (int i = 0; i < count; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
    return text;
}

static const struct {
    const WCHAR *name;
    ALG_ID id;
    ULONG length, block;
    const char *abc;
} functions[] = {
    {L"MD5", CALG_MD5, 16, 64, "900150983cd24fb0d6963f7d28e17f72"},
    {L"SHA1", CALG_SHA1, 20, 64, "a9993e364706816aba3e25717850c26c9cd0d89d"},
    {L"SHA256", CALG_SHA_256, 32, 64, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {L"SHA384", CALG_SHA_384, 48, 128, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"},
    {L"SHA512", CALG_SHA_512, 64, 128,
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
};

TEST(functions_of_bcrypt)
{
    for (unsigned i = 0; i < sizeof functions / sizeof *functions; i++) {
        BCRYPT_ALG_HANDLE algorithm;
        BCRYPT_HASH_HANDLE hash, copy;
        BYTE digest[64], object[4096];
        ULONG value, size;
        WCHAR name[32];
        context("%ls", functions[i].name);
        REQUIRE_STATUS(BCryptOpenAlgorithmProvider(&algorithm, functions[i].name, NULL, 0), 0, SETUP);
        CHECK_STATUS(BCryptGetProperty(algorithm, BCRYPT_HASH_LENGTH, (BYTE *)&value, sizeof value, &size, 0), 0, SETUP);
        CHECK_EQ(value, functions[i].length, SETUP);
        CHECK_STATUS(BCryptGetProperty(algorithm, BCRYPT_HASH_BLOCK_LENGTH, (BYTE *)&value, sizeof value, &size, 0), 0, SETUP);
        CHECK_EQ(value, functions[i].block, SETUP);
        CHECK_STATUS(BCryptGetProperty(algorithm, BCRYPT_ALGORITHM_NAME, (BYTE *)name, sizeof name, &size, 0), 0, SETUP);
        CHECK(memcmp(name, functions[i].name, size) == 0, SETUP);
        CHECK_STATUS(BCryptGetProperty(algorithm, BCRYPT_OBJECT_LENGTH, (BYTE *)&value, sizeof value, &size, 0), 0, SETUP);
        REQUIRE(value <= sizeof object, SETUP);
        REQUIRE_STATUS(BCryptCreateHash(algorithm, &hash, object, value, NULL, 0, 0), 0, SETUP);
        CHECK_STATUS(BCryptHashData(hash, (BYTE *)"a", 1, 0), 0, SETUP);
        CHECK_STATUS(BCryptDuplicateHash(hash, &copy, NULL, 0, 0), 0, SETUP);
        CHECK_STATUS(BCryptHashData(hash, (BYTE *)"bc", 2, 0), 0, SETUP);
        CHECK_STATUS(BCryptFinishHash(hash, digest, functions[i].length - 1, 0), STATUS_INVALID_PARAMETER, SETUP);
        CHECK_STATUS(BCryptFinishHash(hash, digest, functions[i].length, 0), 0, SETUP);
        CHECK(strcmp(hex(digest, functions[i].length), functions[i].abc) == 0, SETUP);
        CHECK_STATUS(BCryptDestroyHash(hash), 0, SETUP);
        CHECK_STATUS(BCryptHashData(copy, (BYTE *)"bc", 2, 0), 0, SETUP);
        memset(digest, 0, sizeof digest);
        CHECK_STATUS(BCryptFinishHash(copy, digest, functions[i].length, 0), 0, SETUP);
        CHECK(strcmp(hex(digest, functions[i].length), functions[i].abc) == 0, SETUP);
        CHECK_STATUS(BCryptDestroyHash(copy), 0, SETUP);
        CHECK_STATUS(BCryptCloseAlgorithmProvider(algorithm, 0), 0, SETUP);
    }
    context(NULL);
}

TEST(keyed_hashes_and_reuse)
{
    static const char *want = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    BCRYPT_ALG_HANDLE algorithm;
    BCRYPT_HASH_HANDLE hash;
    BYTE digest[32];
    REQUIRE_STATUS(BCryptOpenAlgorithmProvider(&algorithm, BCRYPT_SHA256_ALGORITHM, NULL, BCRYPT_ALG_HANDLE_HMAC_FLAG), 0, SETUP);
    REQUIRE_STATUS(BCryptCreateHash(algorithm, &hash, NULL, 0, (BYTE *)"Jefe", 4, BCRYPT_HASH_REUSABLE_FLAG), 0, SETUP);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(BCryptHashData(hash, (BYTE *)"what do ya want for nothing?", 28, 0), 0, SETUP);
        CHECK_STATUS(BCryptFinishHash(hash, digest, sizeof digest, 0), 0, SETUP);
        CHECK(strcmp(hex(digest, 32), want) == 0, SETUP);
    }
    BCryptDestroyHash(hash);
    BCryptCloseAlgorithmProvider(algorithm, 0);
    CHECK_STATUS(BCryptOpenAlgorithmProvider(&algorithm, L"NONE", NULL, 0), STATUS_NOT_FOUND, SETUP);
    CHECK_STATUS(BCryptHash((BCRYPT_ALG_HANDLE)(ULONG_PTR)0xb1, (BYTE *)"Jefe", 4, (BYTE *)"what do ya want for nothing?", 28, digest, sizeof digest), 0, SETUP);
    CHECK(strcmp(hex(digest, 32), want) == 0, SETUP);
}

TEST(functions_of_wincrypt)
{
    HCRYPTPROV provider;
    REQUIRE(CryptAcquireContextW(&provider, NULL, NULL, PROV_RSA_AES, CRYPT_VERIFYCONTEXT), SETUP);
    for (unsigned i = 0; i < sizeof functions / sizeof *functions; i++) {
        HCRYPTHASH hash;
        BYTE digest[64];
        DWORD value, size = sizeof value;
        context("%ls", functions[i].name);
        REQUIRE(CryptCreateHash(provider, functions[i].id, 0, 0, &hash), SETUP);
        CHECK(CryptHashData(hash, (BYTE *)"abc", 3, 0), SETUP);
        CHECK(CryptGetHashParam(hash, HP_HASHSIZE, (BYTE *)&value, &size, 0), SETUP);
        CHECK_EQ(value, functions[i].length, SETUP);
        CHECK(CryptGetHashParam(hash, HP_HASHVAL, NULL, &size, 0), SETUP);
        CHECK_EQ(size, functions[i].length, SETUP);
        size = 3;
        CHECK(!CryptGetHashParam(hash, HP_HASHVAL, digest, &size, 0), SETUP);
        CHECK_EQ(GetLastError(), ERROR_MORE_DATA, SETUP);
        CHECK_EQ(size, functions[i].length, SETUP);
        CHECK(CryptGetHashParam(hash, HP_HASHVAL, digest, &size, 0), SETUP);
        CHECK(strcmp(hex(digest, size), functions[i].abc) == 0, SETUP);
        CHECK(!CryptHashData(hash, (BYTE *)"abc", 3, 0), SETUP);
        CHECK_EQ(GetLastError(), (DWORD)NTE_BAD_HASH_STATE, SETUP);
        CHECK(CryptDestroyHash(hash), SETUP);
    }
    context(NULL);
    HCRYPTHASH hash;
    CHECK(!CryptCreateHash(provider, 0x1234, 0, 0, &hash), SETUP);
    CHECK_EQ(GetLastError(), (DWORD)NTE_BAD_ALGID, SETUP);
    DWORD kind = 0, size = sizeof kind;
    CHECK(CryptGetProvParam(provider, PP_PROVTYPE, (BYTE *)&kind, &size, 0), SETUP);
    CHECK_EQ(kind, PROV_RSA_AES, SETUP);
    BYTE bytes[16] = {0}, zero[16] = {0};
    CHECK(CryptGenRandom(provider, sizeof bytes, bytes), SETUP);
    CHECK(memcmp(bytes, zero, sizeof bytes) != 0, SETUP);
    CHECK(CryptReleaseContext(provider, 0), SETUP);
}
