/* Stores of certificates and what contexts tell. Microsoft Learn "Cryptography Functions", certificate stores. */
#include "../lpctest.h"
#include <string.h>
#include <wincrypt.h>

WITHOUT_PORTS

/* Made by openssl req -x509: C=XX, O=ntlpc, CN=Test certificate, serial 0102030405, for servers and clients, until 2109. */
static BYTE certificate[] = {
    0x30, 0x82, 0x01, 0xd7, 0x30, 0x82, 0x01, 0x7d, 0xa0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x05, 0x01,
    0x02, 0x03, 0x04, 0x05, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
    0x30, 0x38, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x06, 0x13, 0x02, 0x58, 0x58, 0x31,
    0x0e, 0x30, 0x0c, 0x06, 0x03, 0x55, 0x04, 0x0a, 0x0c, 0x05, 0x6e, 0x74, 0x6c, 0x70, 0x63, 0x31,
    0x19, 0x30, 0x17, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x10, 0x54, 0x65, 0x73, 0x74, 0x20, 0x63,
    0x65, 0x72, 0x74, 0x69, 0x66, 0x69, 0x63, 0x61, 0x74, 0x65, 0x30, 0x20, 0x17, 0x0d, 0x32, 0x36,
    0x31, 0x31, 0x32, 0x35, 0x32, 0x32, 0x33, 0x39, 0x35, 0x39, 0x5a, 0x18, 0x0f, 0x32, 0x31, 0x30,
    0x39, 0x30, 0x31, 0x31, 0x34, 0x32, 0x32, 0x33, 0x39, 0x35, 0x39, 0x5a, 0x30, 0x38, 0x31, 0x0b,
    0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x06, 0x13, 0x02, 0x58, 0x58, 0x31, 0x0e, 0x30, 0x0c, 0x06,
    0x03, 0x55, 0x04, 0x0a, 0x0c, 0x05, 0x6e, 0x74, 0x6c, 0x70, 0x63, 0x31, 0x19, 0x30, 0x17, 0x06,
    0x03, 0x55, 0x04, 0x03, 0x0c, 0x10, 0x54, 0x65, 0x73, 0x74, 0x20, 0x63, 0x65, 0x72, 0x74, 0x69,
    0x66, 0x69, 0x63, 0x61, 0x74, 0x65, 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    0x04, 0x76, 0x63, 0x52, 0xcc, 0x90, 0x32, 0xa6, 0xdc, 0x8e, 0xf1, 0x96, 0x10, 0xe0, 0x58, 0x11,
    0xd1, 0x57, 0x15, 0x1b, 0xdf, 0xab, 0xdb, 0x07, 0x65, 0x11, 0xa9, 0xfd, 0xaa, 0x72, 0xfa, 0xbd,
    0xbc, 0xe4, 0x4c, 0xa6, 0xb4, 0xa5, 0x31, 0xfb, 0x34, 0xab, 0xf2, 0xaf, 0x5d, 0x08, 0x5d, 0x86,
    0x14, 0xee, 0x81, 0x3b, 0x91, 0x66, 0xc0, 0xf3, 0xcd, 0x9f, 0xa9, 0xea, 0x4a, 0x0f, 0x86, 0xb5,
    0xfb, 0xa3, 0x72, 0x30, 0x70, 0x30, 0x1d, 0x06, 0x03, 0x55, 0x1d, 0x0e, 0x04, 0x16, 0x04, 0x14,
    0x2c, 0xec, 0xd0, 0x5b, 0x7b, 0x85, 0x5f, 0x8f, 0x07, 0xae, 0x4b, 0x7e, 0xba, 0x81, 0xd8, 0xc1,
    0x49, 0x7b, 0xee, 0xc4, 0x30, 0x1f, 0x06, 0x03, 0x55, 0x1d, 0x23, 0x04, 0x18, 0x30, 0x16, 0x80,
    0x14, 0x2c, 0xec, 0xd0, 0x5b, 0x7b, 0x85, 0x5f, 0x8f, 0x07, 0xae, 0x4b, 0x7e, 0xba, 0x81, 0xd8,
    0xc1, 0x49, 0x7b, 0xee, 0xc4, 0x30, 0x0f, 0x06, 0x03, 0x55, 0x1d, 0x13, 0x01, 0x01, 0xff, 0x04,
    0x05, 0x30, 0x03, 0x01, 0x01, 0xff, 0x30, 0x1d, 0x06, 0x03, 0x55, 0x1d, 0x25, 0x04, 0x16, 0x30,
    0x14, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01, 0x06, 0x08, 0x2b, 0x06, 0x01,
    0x05, 0x05, 0x07, 0x03, 0x02, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03,
    0x02, 0x03, 0x48, 0x00, 0x30, 0x45, 0x02, 0x21, 0x00, 0x99, 0x29, 0x6a, 0xbc, 0xf9, 0x72, 0xe1,
    0x06, 0x8b, 0x0f, 0x1a, 0x95, 0x6c, 0x56, 0x3e, 0x57, 0xa4, 0x9b, 0x7e, 0x4d, 0x61, 0x91, 0x17,
    0x30, 0xa2, 0x31, 0x2e, 0x8b, 0x4c, 0x73, 0x22, 0x5b, 0x02, 0x20, 0x10, 0xb8, 0xba, 0x06, 0x16,
    0x51, 0x96, 0xe1, 0x70, 0xce, 0x97, 0x46, 0xc5, 0x7e, 0x50, 0x1c, 0xcc, 0x5f, 0xef, 0xa3, 0xeb,
    0xce, 0x7e, 0xe4, 0xa4, 0xc6, 0x3b, 0x75, 0xdf, 0x1c, 0x16, 0x7c,
};
static BYTE sha1[20] = {0x95, 0x52, 0x7a, 0xb9, 0x3e, 0xe6, 0x82, 0x7b, 0xfe, 0x08, 0x9c, 0x64, 0x75, 0xf3, 0xdf, 0xd7, 0x60, 0xab, 0x28, 0x0c};

TEST(the_root_store_is_that_of_the_system)
{
    HCERTSTORE store = CertOpenStore(CERT_STORE_PROV_SYSTEM_W, 0, 0, CERT_SYSTEM_STORE_CURRENT_USER | CERT_STORE_READONLY_FLAG, L"ROOT");
    REQUIRE(store != NULL, SETUP);
    const CERT_CONTEXT *context = NULL;
    int count = 0, named = 0;
    while ((context = CertEnumCertificatesInStore(store, context)) != NULL) {
        WCHAR name[256];
        count++;
        CHECK_EQ(context->dwCertEncodingType, X509_ASN_ENCODING, SETUP);
        CHECK(context->cbCertEncoded > 100 && context->pbCertEncoded[0] == 0x30, SETUP);
        CHECK(context->pCertInfo->Subject.cbData > 0, SETUP);
        named += CertGetNameStringW(context, CERT_NAME_SIMPLE_DISPLAY_TYPE, 0, NULL, name, 256) > 1;
    }
    CHECK_EQ(GetLastError(), (DWORD)CRYPT_E_NOT_FOUND, SETUP);
    CHECK_EQ(named, count, SETUP);
    note("%d certificates", count);
    CHECK(CertCloseStore(store, 0), SETUP);
    store = CertOpenSystemStoreW(0, L"CA");
    CHECK(store != NULL, SETUP);
    CHECK(CertCloseStore(store, 0), SETUP);
    CHECK(CertOpenStore((LPCSTR)99, 0, 0, 0, NULL) == NULL, SETUP);
    CHECK_EQ(GetLastError(), ERROR_FILE_NOT_FOUND, SETUP);
}

TEST(contexts_tell_what_the_certificate_says)
{
    const CERT_CONTEXT *context = CertCreateCertificateContext(X509_ASN_ENCODING, certificate, sizeof certificate);
    REQUIRE(context != NULL, SETUP);
    CERT_INFO *info = context->pCertInfo;
    static const BYTE serial[] = {5, 4, 3, 2, 1};
    CHECK_EQ(info->dwVersion, CERT_V3, SETUP);
    CHECK(info->SerialNumber.cbData == 5 && memcmp(info->SerialNumber.pbData, serial, 5) == 0, SETUP);
    CHECK(strcmp(info->SignatureAlgorithm.pszObjId, "1.2.840.10045.4.3.2") == 0, SETUP);
    CHECK(strcmp(info->SubjectPublicKeyInfo.Algorithm.pszObjId, szOID_ECC_PUBLIC_KEY) == 0, SETUP);
    CHECK_EQ(info->SubjectPublicKeyInfo.PublicKey.cbData, 65, SETUP);
    CHECK(info->Subject.cbData == info->Issuer.cbData && memcmp(info->Subject.pbData, info->Issuer.pbData, info->Issuer.cbData) == 0, SETUP);
    BYTE hash[20];
    DWORD size = sizeof hash;
    CHECK(CertGetCertificateContextProperty(context, CERT_SHA1_HASH_PROP_ID, hash, &size), SETUP);
    CHECK(size == 20 && memcmp(hash, sha1, 20) == 0, SETUP);
    CHECK(!CertGetCertificateContextProperty(context, CERT_KEY_PROV_INFO_PROP_ID, NULL, &size), SETUP);
    CHECK_EQ(GetLastError(), (DWORD)CRYPT_E_NOT_FOUND, SETUP);

    WCHAR name[64];
    CHECK_EQ(CertGetNameStringW(context, CERT_NAME_SIMPLE_DISPLAY_TYPE, 0, NULL, name, 64), 17, SETUP);
    CHECK(wcscmp(name, L"Test certificate") == 0, SETUP);
    char ansi[64];
    CHECK_EQ(CertGetNameStringA(context, CERT_NAME_ATTR_TYPE, CERT_NAME_ISSUER_FLAG, (void *)szOID_ORGANIZATION_NAME, ansi, 64), 6, SETUP);
    CHECK(strcmp(ansi, "ntlpc") == 0, SETUP);

    ULONG64 buffer[32];
    CERT_ENHKEY_USAGE *usage = (void *)buffer;
    size = sizeof buffer;
    CHECK(CertGetEnhancedKeyUsage(context, 0, usage, &size), SETUP);
    CHECK_EQ(usage->cUsageIdentifier, 2, SETUP);
    CHECK(strcmp(usage->rgpszUsageIdentifier[0], szOID_PKIX_KP_SERVER_AUTH) == 0, SETUP);
    CERT_EXTENSION *extension = CertFindExtension(szOID_ENHANCED_KEY_USAGE, info->cExtension, info->rgExtension);
    CHECK(extension != NULL && !extension->fCritical && extension->Value.cbData > 2, SETUP);

    SYSTEMTIME time;
    FileTimeToSystemTime(&info->NotAfter, &time);
    CHECK_EQ(time.wYear, 2109, SETUP);
    FILETIME early = {0, 0x01000000}, late = {0, 0x7fffffff};
    CHECK_EQ((DWORD)CertVerifyTimeValidity(&early, info), (DWORD)-1, SETUP);
    CHECK_EQ(CertVerifyTimeValidity(&info->NotBefore, info), 0, SETUP);
    CHECK_EQ(CertVerifyTimeValidity(&late, info), 1, SETUP);
    CHECK(CertFreeCertificateContext(context), SETUP);
    CHECK(CertCreateCertificateContext(X509_ASN_ENCODING, certificate, 50) == NULL, SETUP);
}

TEST(stores_in_memory_keep_certificates)
{
    HCERTSTORE store = CertOpenStore(CERT_STORE_PROV_MEMORY, 0, 0, 0, NULL);
    const CERT_CONTEXT *context = CertCreateCertificateContext(X509_ASN_ENCODING, certificate, sizeof certificate), *kept, *found;
    REQUIRE(store != NULL && context != NULL, SETUP);
    CHECK(CertAddCertificateContextToStore(store, context, CERT_STORE_ADD_ALWAYS, &kept), SETUP);
    CHECK(!CertAddCertificateContextToStore(store, context, CERT_STORE_ADD_NEW, NULL), SETUP);
    CHECK_EQ(GetLastError(), (DWORD)CRYPT_E_EXISTS, SETUP);
    CHECK_PTR(kept->hCertStore, store, SETUP);
    CRYPT_HASH_BLOB hash = {sizeof sha1, sha1};
    found = CertFindCertificateInStore(store, X509_ASN_ENCODING, 0, CERT_FIND_SHA1_HASH, &hash, NULL);
    CHECK_PTR(found, kept, SETUP);
    found = CertFindCertificateInStore(store, X509_ASN_ENCODING, 0, CERT_FIND_SUBJECT_STR_W, L"test CERT", found);
    CHECK_PTR(found, NULL, SETUP);
    found = CertFindCertificateInStore(store, X509_ASN_ENCODING, 0, CERT_FIND_SUBJECT_STR_W, L"test CERT", NULL);
    CHECK_PTR(found, kept, SETUP);
    CertFreeCertificateContext(found);
    found = CertFindCertificateInStore(store, X509_ASN_ENCODING, 0, CERT_FIND_SUBJECT_CERT, context->pCertInfo, NULL);
    CHECK_PTR(found, kept, SETUP);
    CertFreeCertificateContext(found);
    CHECK_PTR(CertFindCertificateInStore(store, X509_ASN_ENCODING, 0, CERT_FIND_ISSUER_STR_A, "nobody", NULL), NULL, SETUP);
    found = CertEnumCertificatesInStore(store, NULL);
    CHECK_PTR(found, kept, SETUP);
    CHECK_PTR(CertEnumCertificatesInStore(store, found), NULL, SETUP);
    CHECK(CertCloseStore(store, 0), SETUP);
    /* A context outlives its store. */
    CHECK_EQ(kept->cbCertEncoded, sizeof certificate, SETUP);
    CertFreeCertificateContext(kept);
    CertFreeCertificateContext(context);
}

TEST(binary_data_as_text)
{
    static const char *text = "-----BEGIN X-----\r\nAAECAwQ=\r\n-----END X-----\r\n";
    BYTE bytes[16];
    DWORD size = sizeof bytes, skipped = 9, found = 9;
    CHECK(CryptStringToBinaryA(text, 0, CRYPT_STRING_ANY, bytes, &size, &skipped, &found), SETUP);
    CHECK(size == 5 && bytes[1] == 1 && bytes[4] == 4, SETUP);
    CHECK(skipped == 0 && found == CRYPT_STRING_BASE64HEADER, SETUP);
    size = 2;
    CHECK(!CryptStringToBinaryW(L"AAECAwQ=", 0, CRYPT_STRING_BASE64, bytes, &size, NULL, NULL), SETUP);
    CHECK_EQ(GetLastError(), ERROR_MORE_DATA, SETUP);
    CHECK_EQ(size, 5, SETUP);
    CHECK(!CryptStringToBinaryW(L"?", 0, CRYPT_STRING_BASE64, bytes, &size, NULL, NULL), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_DATA, SETUP);
    char out[64];
    size = sizeof out;
    CHECK(CryptBinaryToStringA((const BYTE *)"\0\1\2\3\4", 5, CRYPT_STRING_BASE64, out, &size), SETUP);
    CHECK(strcmp(out, "AAECAwQ=\r\n") == 0 && size == 10, SETUP);
    size = sizeof out;
    CHECK(CryptBinaryToStringA((const BYTE *)"\0\1\2\3\4", 5, CRYPT_STRING_BASE64 | CRYPT_STRING_NOCRLF, out, &size), SETUP);
    CHECK(strcmp(out, "AAECAwQ=") == 0, SETUP);
}

TEST(chains_are_refused)
{
    const CERT_CHAIN_CONTEXT *chain = (void *)1;
    const CERT_CONTEXT *context = CertCreateCertificateContext(X509_ASN_ENCODING, certificate, sizeof certificate);
    CERT_CHAIN_PARA parameters = {.cbSize = sizeof parameters};
    CHECK(!CertGetCertificateChain(NULL, context, NULL, NULL, &parameters, 0, NULL, &chain), SETUP);
    CHECK_PTR(chain, NULL, SETUP);
    CertFreeCertificateContext(context);
}
