//! NtAlpcCreatePort (alpc §2.1).

use std::sync::Arc;

use ntlpc_abi::{NtStatus, UserPtr, limits};
use ntlpc_proto::port::{CreatePort, PortKind};
use ntlpc_proto::{Bytes, Name};

use super::object;
use super::port::{PortAttributes, WAITABLE_PORT};
use crate::engine::{NewPort, Port, Queue, renewed, session};
use crate::{guest, host, names};

pub(crate) fn nt_alpc_create_port(
    port_handle: UserPtr,
    object_attributes: UserPtr,
    port_attributes: UserPtr,
) -> Result<(), NtStatus> {
    guest::probe_handle(port_handle)?;
    let attributes = PortAttributes::capture(port_attributes)?;
    attributes.check_new()?;
    let named = object::capture(object_attributes)?;
    let host = host::current();
    let is_named = !named.name.is_empty();
    let request = CreatePort {
        tno: renewed()?.tno,
        is_waitable: attributes.flags() & WAITABLE_PORT != 0,
        is_alpc: true,
        alpc: attributes.for_server(),
        max_message: attributes.max_message(),
        max_info: limits::ALPC_MAX_TOTAL as u32,
        root: 0,
        name: Name(named.name),
        attributes: named.attributes,
        security: Bytes(named.security),
        token: Bytes(host.effective_token()),
    };
    let session = session()?;
    let (reply, fds) = names::create_port(request, named.root)?;
    let mut fds = fds.into_iter();
    let inbox = session.inbox(fds.next())?;
    let system = session.segment(fds.next())?;
    let queue = Queue::of_connection_port(reply.port, inbox.clone(), true, Some(system));
    let port = Port::new(NewPort {
        id: reply.port,
        kind: if is_named {
            PortKind::Connection
        } else {
            PortKind::Unconnected
        },
        is_alpc: true,
        attributes: attributes.for_peer(),
        connection_port: reply.port,
        max_message: attributes.max_message(),
        queue,
        tickets: inbox,
        connection: None,
        resources: Arc::default(),
    });
    port.resources.set_limits(attributes.limits());
    let handle = host.insert_port(port, fds.next(), named.is_inheritable)?;
    guest::write_word(port_handle, handle.0).inspect_err(|_| host.close(handle))
}
