//! From frames to handlers.

use std::os::fd::OwnedFd;

use ntlpc_abi::NtStatus;
use ntlpc_proto::attachment::{self, Attachment};
use ntlpc_proto::frame::{Frame, encode_refusal};
use ntlpc_proto::inspect::Inspect;
use ntlpc_proto::object::{self, Object};
use ntlpc_proto::port::{self, Port};
use ntlpc_proto::process::{self, Process};
use ntlpc_proto::wire::Malformed;

use crate::answer::{OutFd, encode};
use crate::process::ProcessNo;
use crate::state::State;

/// A reply frame and its descriptors.
pub type Reply = (Vec<u8>, Vec<OutFd>);

impl State {
    /// Handles a request of a process that said Hello.
    ///
    /// # Errors
    /// [`Malformed`] for bytes that are no request: the client is dropped.
    pub fn handle(
        &mut self,
        caller: ProcessNo,
        frame: &Frame<'_>,
        fds: Vec<OwnedFd>,
    ) -> Result<Reply, Malformed> {
        match (frame.number >> 8) as u8 {
            Process::FAMILY => {
                self.handle_process(caller, Process::decode(frame.number, frame.body)?)
            }
            Port::FAMILY => self.handle_port(caller, Port::decode(frame.number, frame.body)?, fds),
            Object::FAMILY => {
                self.handle_object(caller, Object::decode(frame.number, frame.body)?, fds)
            }
            Attachment::FAMILY => {
                self.handle_attachment(caller, Attachment::decode(frame.number, frame.body)?, fds)
            }
            Inspect::FAMILY => Ok(self.handle_inspect(Inspect::decode(frame.number, frame.body)?)),
            _ => Err(Malformed::UnknownRequest(frame.number)),
        }
    }

    fn handle_process(&mut self, caller: ProcessNo, request: Process) -> Result<Reply, Malformed> {
        Ok(match request {
            // A second Hello is refused before any effect.
            Process::Hello(_) => (
                encode_refusal(
                    <process::Hello as ntlpc_proto::Request>::NUMBER,
                    NtStatus::INVALID_PARAMETER,
                ),
                Vec::new(),
            ),
            Process::RegisterThread(request) => {
                encode::<process::RegisterThread>(self.register_thread(caller, request))
            }
            Process::ThreadExit(request) => {
                encode::<process::ThreadExit>(self.thread_exit(caller, request))
            }
            Process::SetThreadToken(request) => {
                encode::<process::SetThreadToken>(self.set_thread_token(caller, request))
            }
            Process::CheckThread(request) => {
                encode::<process::CheckThread>(self.check_thread(request))
            }
            Process::RegisterTerminatePort(request) => {
                encode::<process::RegisterTerminatePort>(self.register_terminate(caller, request))
            }
            Process::SetExceptionPort(request) => {
                encode::<process::SetExceptionPort>(self.set_exception_port(caller, request))
            }
            Process::OpenExceptionPort(_) => {
                encode::<process::OpenExceptionPort>(self.open_exception_port(caller))
            }
        })
    }

    fn handle_object(
        &mut self,
        caller: ProcessNo,
        request: Object,
        fds: Vec<OwnedFd>,
    ) -> Result<Reply, Malformed> {
        Ok(match request {
            Object::CreateObject(request) => {
                encode::<object::CreateObject>(self.create_object(caller, request, fds))
            }
            Object::OpenObject(request) => {
                encode::<object::OpenObject>(self.open_object(caller, request))
            }
            Object::CloseObject(request) => {
                encode::<object::CloseObject>(self.close_object(caller, request))
            }
            Object::ListDirectory(request) => {
                encode::<object::ListDirectory>(self.list_directory(request))
            }
        })
    }

    fn handle_attachment(
        &mut self,
        caller: ProcessNo,
        request: Attachment,
        fds: Vec<OwnedFd>,
    ) -> Result<Reply, Malformed> {
        Ok(match request {
            Attachment::Attach(request) => {
                encode::<attachment::Attach>(self.attach(caller, request, fds))
            }
            Attachment::AttachToken(request) => {
                encode::<attachment::AttachToken>(self.attach_token(caller, request))
            }
            Attachment::Take(request) => {
                encode::<attachment::Take>(self.take_attached(caller, request))
            }
            Attachment::RevokeTokens(request) => {
                encode::<attachment::RevokeTokens>(self.revoke_tokens(caller, request))
            }
            Attachment::Reclaim(_) => encode::<attachment::Reclaim>(self.reclaim(caller)),
            Attachment::Detach(request) => {
                encode::<attachment::Detach>(self.detach(caller, request))
            }
        })
    }

    fn handle_port(
        &mut self,
        caller: ProcessNo,
        request: Port,
        fds: Vec<OwnedFd>,
    ) -> Result<Reply, Malformed> {
        Ok(match request {
            Port::CreatePort(request) => {
                encode::<port::CreatePort>(self.create_port(caller, request))
            }
            Port::Connect(request) => encode::<port::Connect>(self.connect(caller, request, fds)),
            Port::ConnectResult(request) => {
                encode::<port::ConnectResult>(self.connect_result(caller, request))
            }
            Port::ConnectAbort(request) => {
                encode::<port::ConnectAbort>(self.connect_abort(caller, request))
            }
            Port::Accept(request) => encode::<port::Accept>(self.accept(caller, request, fds)),
            Port::Disconnect(request) => {
                encode::<port::Disconnect>(self.disconnect(caller, request))
            }
            Port::QuerySender(request) => {
                encode::<port::QuerySender>(self.query_sender(caller, request))
            }
            Port::QueryBlocked(request) => {
                encode::<port::QueryBlocked>(self.query_blocked(request))
            }
            Port::QueryHandshake(request) => {
                encode::<port::QueryHandshake>(self.query_handshake(caller, &request))
            }
            Port::QueryServer(request) => {
                encode::<port::QueryServer>(self.query_server(caller, request))
            }
            Port::PostCanceled(request) => {
                encode::<port::PostCanceled>(self.post_canceled(caller, request))
            }
            Port::AcceptFailed(request) => {
                encode::<port::AcceptFailed>(self.accept_failed(caller, request))
            }
            Port::AcceptViews(request) => {
                encode::<port::AcceptViews>(self.accept_views(caller, request))
            }
            Port::Complete(request) => encode::<port::Complete>(self.complete(caller, request)),
            Port::ClosePort(request) => encode::<port::ClosePort>(self.close_port(caller, request)),
            Port::GrantPort(request) => encode::<port::GrantPort>(self.grant_port(caller, request)),
            Port::AdoptPort(request) => {
                encode::<port::AdoptPort>(self.adopt_port(caller, request, fds))
            }
            Port::OpenLifetime(request) => {
                encode::<port::OpenLifetime>(self.open_lifetime(caller, request))
            }
            Port::OpenSelf(request) => encode::<port::OpenSelf>(self.open_self(caller, request)),
            Port::OpenSource(request) => {
                encode::<port::OpenSource>(self.open_source(caller, request))
            }
            Port::SetContext(request) => {
                encode::<port::SetContext>(self.set_context(caller, request))
            }
            Port::QueryPort(request) => encode::<port::QueryPort>(self.query_port(caller, request)),
            Port::Impersonate(request) => {
                encode::<port::Impersonate>(self.impersonate(caller, request))
            }
            Port::ReadData(request) => encode::<port::ReadData>(self.read_data(caller, request)),
            Port::WriteData(request) => encode::<port::WriteData>(self.write_data(caller, request)),
            Port::CheckSender(request) => {
                encode::<port::CheckSender>(self.check_sender(caller, request))
            }
        })
    }
}
