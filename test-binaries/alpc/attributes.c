/* The other attributes that travel: security contexts, events, tickets. alpc §1.5, §2.13, statements 215, 232, 265. */
#include "../alpc.h"

TEST(security_context_of_a_message)
{
    struct alpc_pair p;
    struct msg m;
    struct alpc_buffer got;
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    ALPC_SECURITY_ATTR security = {.QoS = &qos};
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE_STATUS(NtAlpcCreateSecurityContext(p.cli, 0, &security), STATUS_SUCCESS, SETUP);
    msg_init(&m, 4);
    REQUIRE_STATUS(alpc_send_with(p.cli, 0, &m, ALPC_SECURITY_ATTRIBUTE, &security, sizeof security), STATUS_SUCCESS,
                   alpc(215));
    REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_SECURITY_ATTRIBUTE), STATUS_SUCCESS, alpc(215));
    CHECK_EQ(got.a.ValidAttributes, ALPC_SECURITY_ATTRIBUTE, alpc(215));
    ALPC_SECURITY_ATTR *received = alpc_attribute(&got, ALPC_SECURITY_ATTRIBUTE);
    CHECK_PTR(received->ContextHandle, security.ContextHandle, alpc(215));
    CHECK_STATUS(alpc_answer(p.conn, &m), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive_with(p.cli, &m, &got, 0), STATUS_SUCCESS, SETUP);
    /* Without one there is none. */
    msg_init(&m, 4);
    REQUIRE_STATUS(alpc_send(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, alpc(214));
    REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_SECURITY_ATTRIBUTE), STATUS_SUCCESS, alpc(214));
    CHECK_EQ(got.a.ValidAttributes, 0, alpc(214));
    /* One that is made for the message. */
    struct alpc_buffer sent;
    alpc_allocate(&sent, ALPC_SECURITY_ATTRIBUTE);
    ALPC_SECURITY_ATTR *made = alpc_attribute(&sent, ALPC_SECURITY_ATTRIBUTE);
    *made = (ALPC_SECURITY_ATTR){.Flags = 0x20000, .QoS = &qos};
    sent.a.ValidAttributes = ALPC_SECURITY_ATTRIBUTE;
    msg_init(&m, 4);
    REQUIRE_STATUS(NtAlpcSendWaitReceivePort(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m.h, &sent.a, NULL, NULL, NULL, NULL),
                   STATUS_SUCCESS, SETUP);
    CHECK(made->ContextHandle != NULL && made->ContextHandle != security.ContextHandle, SETUP);
    CHECK_STATUS(NtAlpcDeleteSecurityContext(p.cli, 0, made->ContextHandle), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcDeleteSecurityContext(p.cli, 0, made->ContextHandle), STATUS_INVALID_HANDLE, SETUP);
    alpc_pair_close(&p);
}

/* alpc §2.13: what was sent with a revoked context makes nobody anything any more. */
TEST(revoked_context)
{
    struct alpc_pair p;
    struct msg m, second;
    struct alpc_buffer got;
    HANDLE token;
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    ALPC_SECURITY_ATTR security = {.QoS = &qos}, other = {.QoS = &qos};
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE_STATUS(NtAlpcCreateSecurityContext(p.cli, 0, &security), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(NtAlpcCreateSecurityContext(p.cli, 0, &other), STATUS_SUCCESS, SETUP);
    msg_init(&m, 4);
    second = m;
    REQUIRE_STATUS(alpc_send_with(p.cli, 0, &m, ALPC_SECURITY_ATTRIBUTE, &security, sizeof security), STATUS_SUCCESS,
                   SETUP);
    REQUIRE_STATUS(alpc_send_with(p.cli, 0, &second, ALPC_SECURITY_ATTRIBUTE, &other, sizeof other), STATUS_SUCCESS,
                   SETUP);
    REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_SECURITY_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcImpersonateClientOfPort(p.srv, &m.h, NULL), STATUS_SUCCESS, alpc(278));
    CHECK(OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token), alpc(278));
    CloseHandle(token);
    RevertToSelf();
    CHECK_STATUS(NtAlpcRevokeSecurityContext(p.cli, 0, security.ContextHandle), STATUS_SUCCESS, alpc(265));
    CHECK_STATUS(NtAlpcImpersonateClientOfPort(p.srv, &m.h, NULL), STATUS_CANNOT_IMPERSONATE, SETUP);
    CHECK(!OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token), SETUP);
    /* Another message of another context is as it was. */
    REQUIRE_STATUS(alpc_receive_with(p.conn, &second, &got, ALPC_SECURITY_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcImpersonateClientOfPort(p.srv, &second.h, NULL), STATUS_SUCCESS, SETUP);
    RevertToSelf();
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send_with(p.cli, 0, &m, ALPC_SECURITY_ATTRIBUTE, &security, sizeof security),
                 STATUS_ACCESS_DENIED, SETUP);
    CHECK_STATUS(NtAlpcDeleteSecurityContext(p.cli, 0, security.ContextHandle), STATUS_SUCCESS, alpc(265));
    alpc_pair_close(&p);
}

TEST(direct_event_and_ticket)
{
    struct alpc_pair p;
    struct msg m;
    struct alpc_buffer got;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL), bad = (HANDLE)(ULONG_PTR)0x7777774;
    ULONG64 ticket = 0x1122334455667788;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send_with(p.cli, 0, &m, ALPC_DIRECT_ATTRIBUTE, &bad, sizeof bad), STATUS_INVALID_HANDLE, alpc(232));
    REQUIRE_STATUS(alpc_send_with(p.cli, 0, &m, ALPC_DIRECT_ATTRIBUTE, &event, sizeof event), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_DIRECT_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    CHECK_EQ(got.a.ValidAttributes, 0, SETUP);
    CHECK_EQ(WaitForSingleObject(event, 0), WAIT_TIMEOUT, SETUP);
    CHECK_STATUS(alpc_answer(p.conn, &m), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive_with(p.cli, &m, &got, 0), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(event, 0), WAIT_OBJECT_0, SETUP);
    msg_init(&m, 4);
    REQUIRE_STATUS(alpc_send_with(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_WORK_ON_BEHALF_ATTRIBUTE, &ticket,
                             sizeof ticket),
                   STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_WORK_ON_BEHALF_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    CHECK_EQ(got.a.ValidAttributes, ALPC_WORK_ON_BEHALF_ATTRIBUTE, SETUP);
    CHECK_EQ(*(ULONG64 *)alpc_attribute(&got, ALPC_WORK_ON_BEHALF_ATTRIBUTE), ticket, SETUP);
    CloseHandle(event);
    alpc_pair_close(&p);
}
