//! Frames: any bytes are a request or an error, and what is encoded decodes to itself.

use ntlpc_abi::NtStatus;
use ntlpc_proto::attachment::Attachment;
use ntlpc_proto::frame::{self, Frame};
use ntlpc_proto::inspect::{DescribePortReply, Inspect, MessageRow, PortRow};
use ntlpc_proto::port::{
    Accept, Connect, ConnectResult, ConnectResultReply, CreatePort, Port, Qos, Target, View,
    WriteData,
};
use ntlpc_proto::process::{Hello, HostKind, Process, Token, TokenGroup};
use ntlpc_proto::wire::Wire;
use ntlpc_proto::{Bytes, FAMILIES, Malformed, Name, Request};
use proptest::prelude::*;

fn decode_any(number: u16, body: &[u8]) -> Result<(), Malformed> {
    match (number >> 8) as u8 {
        Process::FAMILY => {
            Process::decode(number, body).map(|request| drop(format!("{request:?}")))
        }
        Port::FAMILY => Port::decode(number, body).map(|request| drop(format!("{request:?}"))),
        Attachment::FAMILY => {
            Attachment::decode(number, body).map(|request| drop(format!("{request:?}")))
        }
        Inspect::FAMILY => {
            Inspect::decode(number, body).map(|request| drop(format!("{request:?}")))
        }
        _ => Err(Malformed::UnknownRequest(number)),
    }
}

fn bytes() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..64).prop_map(Bytes)
}

fn name() -> impl Strategy<Value = Name> {
    proptest::collection::vec(any::<u16>(), 0..32).prop_map(Name)
}

fn view() -> impl Strategy<Value = Option<View>> {
    proptest::option::of(
        any::<(u64, u64, u64)>().prop_map(|(offset, size, base)| View { offset, size, base }),
    )
}

fn assert_round_trip<R: Request + PartialEq + core::fmt::Debug>(request: &R) {
    let bytes = frame::encode_request(request);
    let parsed = Frame::parse(&bytes).expect("what we encode is a frame");
    assert_eq!(
        (parsed.number, parsed.status),
        (R::NUMBER, NtStatus::SUCCESS)
    );
    assert_eq!(frame::decode_body::<R>(parsed.body).as_ref(), Ok(request));
    decode_any(parsed.number, parsed.body).expect("the family knows its request");
    // A frame one byte short or long is never taken for a shorter or longer request.
    assert!(
        parsed.body.is_empty()
            || frame::decode_body::<R>(&parsed.body[..parsed.body.len() - 1]).is_err()
    );
    let mut longer = parsed.body.to_vec();
    longer.push(0);
    assert_eq!(
        frame::decode_body::<R>(&longer).err(),
        Some(Malformed::Trailing)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_malformed(number in any::<u16>(), body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_any(number, &body);
        for (_, _, table) in FAMILIES {
            for info in *table {
                let _ = decode_any(info.number, &body);
            }
        }
    }

    #[test]
    fn any_bytes_are_a_frame_or_malformed(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = Frame::parse(&bytes);
    }

    #[test]
    fn create_port_survives_the_wire(name in name(), security in bytes(), numbers in any::<(u32, u32, u32, u64)>(), flags in any::<(bool, bool)>()) {
        assert_round_trip(&CreatePort {
            tno: numbers.0,
            is_waitable: flags.0,
            is_alpc: flags.1,
            max_message: numbers.1,
            max_info: numbers.2,
            root: numbers.3,
            name,
            security,
            ..CreatePort::default()
        });
    }

    #[test]
    fn connect_survives_the_wire(name in name(), info in bytes(), required_sid in bytes(), view in view(), level in any::<u32>()) {
        assert_round_trip(&Connect {
            name,
            info,
            required_sid,
            view,
            qos: Qos { level, is_dynamic: true, is_effective_only: false },
            ..Connect::default()
        });
    }

    #[test]
    fn accept_survives_the_wire(info in bytes(), server_view in view(), context in any::<u64>(), status in any::<u32>()) {
        assert_round_trip(&Accept { info, server_view, context, view_status: NtStatus(status), ..Accept::default() });
    }

    #[test]
    fn write_data_survives_the_wire(bytes in bytes(), target in any::<(u32, u32, u32, u32, u32)>()) {
        let target = Target { pid: target.0, tid: target.1, message_id: target.2, source: target.3, slot: target.4 };
        assert_round_trip(&WriteData { target, bytes, ..WriteData::default() });
    }

    #[test]
    fn token_survives_the_wire(user in bytes(), groups in proptest::collection::vec((bytes(), any::<u32>()), 0..8), dacl in proptest::option::of(bytes())) {
        let token = Token {
            user,
            groups: groups.into_iter().map(|(sid, attributes)| TokenGroup { sid, attributes }).collect(),
            default_dacl: dacl,
            ..Token::default()
        };
        let mut out = Vec::new();
        token.put(&mut out);
        prop_assert_eq!(frame::decode_body::<Token>(&out), Ok(token));
    }
}

#[test]
fn lists_of_structures_survive_the_wire() {
    let reply = DescribePortReply {
        row: PortRow {
            name: "\\RPC Control\\p".into(),
            owner_image: "server.exe".into(),
            ..PortRow::default()
        },
        messages: (0..100)
            .map(|message_id| MessageRow {
                message_id,
                ..MessageRow::default()
            })
            .collect(),
        ..DescribePortReply::default()
    };
    let mut out = Vec::new();
    reply.put(&mut out);

    assert_eq!(frame::decode_body::<DescribePortReply>(&out), Ok(reply));
}

#[test]
fn list_length_beyond_the_frame_allocates_nothing() {
    let mut body = Vec::new();
    u32::MAX.put(&mut body);

    assert_eq!(frame::decode_body::<Vec<u64>>(&body), Err(Malformed::Short));
    assert_eq!(frame::decode_body::<Bytes>(&body), Err(Malformed::Short));
    assert_eq!(frame::decode_body::<Name>(&body), Err(Malformed::Short));
    assert_eq!(frame::decode_body::<String>(&body), Err(Malformed::Short));
}

#[test]
fn values_outside_their_type_are_malformed() {
    assert_eq!(frame::decode_body::<bool>(&[2]), Err(Malformed::BadValue));
    assert_eq!(
        frame::decode_body::<HostKind>(&[9]),
        Err(Malformed::BadValue)
    );
    assert_eq!(
        frame::decode_body::<String>(&[1, 0, 0, 0, 0xFF]),
        Err(Malformed::BadValue)
    );
}

#[test]
fn another_version_is_named() {
    let mut bytes = frame::encode_request(&Hello::default());
    bytes[4] = bytes[4].wrapping_add(1);

    let error = Frame::parse(&bytes).expect_err("another version");

    assert_eq!(error, Malformed::Version(frame::VERSION + 1));
    assert!(error.to_string().contains("wineserver-ext -k"), "{error}");
}

#[test]
fn refusal_carries_its_status_and_no_fields() {
    let bytes = frame::encode_reply::<ConnectResult>(Err(NtStatus::PORT_CONNECTION_REFUSED));

    let reply = Frame::parse(&bytes).expect("a frame");

    assert_eq!(
        (reply.number, reply.status),
        (ConnectResult::NUMBER, NtStatus::PORT_CONNECTION_REFUSED)
    );
    assert!(reply.body.is_empty());
    assert!(frame::decode_body::<ConnectResultReply>(reply.body).is_err());
}

#[test]
fn numbers_are_of_their_family_and_given_once() {
    let mut seen = std::collections::HashSet::new();
    for (name, family, table) in FAMILIES {
        for info in *table {
            assert_eq!((info.number >> 8) as u8, *family, "{name}::{}", info.name);
            assert!(seen.insert(info.number), "{:#06x} twice", info.number);
        }
    }
}
