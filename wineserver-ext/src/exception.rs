//! The exception port of a process (lpc §4.5).

use std::collections::BTreeSet;
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use ntlpc_proto::process::{
    OpenExceptionPort, OpenExceptionPortReply, RegisterTerminatePort, RegisterTerminatePortReply,
    SetExceptionPort, SetExceptionPortReply,
};
use ntlpc_shm::Tno;
use ntlpc_shm::rundown::lose_waits;
use ntlpc_shm::segment::{Direction, Segment};

use crate::answer::{OutFd, Outcome, answer, answer_with, no_room};
use crate::namespace::ObjectId;
use crate::port::{ExceptionPort, Lingering, Port, Role, Source};
use crate::process::ProcessNo;
use crate::state::State;

impl State {
    /// Registers a port for CLIENT_DIED.
    pub fn register_terminate(
        &mut self,
        caller: ProcessNo,
        request: RegisterTerminatePort,
    ) -> Outcome<RegisterTerminatePort> {
        self.register_terminate_port(caller, request.tno, request.port)?;
        answer(RegisterTerminatePortReply {})
    }

    /// Sets the exception port of the calling process.
    pub fn set_exception_port(
        &mut self,
        caller: ProcessNo,
        request: SetExceptionPort,
    ) -> Outcome<SetExceptionPort> {
        self.held_port(caller, request.port)?;
        let process = self.process_mut(caller)?;
        if process.exception.is_some() {
            return Err(NtStatus::PORT_ALREADY_SET);
        }
        process.exception = Some(ExceptionPort {
            port: request.port,
            source: None,
        });
        if let Some(port) = self.ports.get_mut(&request.port) {
            port.references += 1;
        }
        answer(SetExceptionPortReply {})
    }

    /// Opens the segment a process sends its exceptions on.
    pub fn open_exception_port(&mut self, caller: ProcessNo) -> Outcome<OpenExceptionPort> {
        let exception = self
            .process(caller)?
            .exception
            .as_ref()
            .ok_or(NtStatus::PORT_NOT_SET)?;
        let port = self
            .ports
            .get(&exception.port)
            .ok_or(NtStatus::PORT_DISCONNECTED)?;
        let receiver = match &port.role {
            Role::Receiving(_) => port.id,
            Role::End(id) => {
                self.connections
                    .get(id)
                    .ok_or(NtStatus::PORT_DISCONNECTED)?
                    .port
            }
        };
        let known = exception.source;
        let port = self
            .ports
            .get_mut(&receiver)
            .ok_or(NtStatus::PORT_DISCONNECTED)?;
        let max_message = port.max_message;
        let receiving = port.receiving_mut().ok_or(NtStatus::PORT_DISCONNECTED)?;
        let (source, segment) =
            match known.and_then(|(_, number)| Some((number, receiving.sources.get(&number)?))) {
                Some((number, Source::Exception(_, segment))) => (number, segment.clone()),
                _ => {
                    let segment = Segment::create()
                        .map_err(|error| no_room("cannot create a segment", &error))?;
                    let number = receiving.allocate_source()?;
                    receiving
                        .sources
                        .insert(number, Source::Exception(caller, segment.clone()));
                    (number, segment)
                }
            };
        let fds = vec![
            OutFd::Memory(Arc::clone(segment.mapping())),
            OutFd::Memory(Arc::clone(receiving.inbox.mapping())),
        ];
        if let Some(exception) = &mut self.process_mut(caller)?.exception {
            exception.source = Some((receiver, source));
        }
        answer_with(
            OpenExceptionPortReply {
                port: receiver,
                source,
                max_message,
            },
            fds,
        )
    }

    /// Returns the PortContext of a process's exceptions: that of its client port's connection, else none.
    pub(crate) fn exception_context(&self, process: ProcessNo) -> u64 {
        let port = self
            .processes
            .get(&process)
            .and_then(|process| process.exception.as_ref());
        let connection = port
            .and_then(|exception| self.ports.get(&exception.port))
            .and_then(Port::connection)
            .and_then(|id| self.connections.get(&id));
        connection.map_or(0, |connection| connection.context)
    }

    /// Ends the exceptions of a process that died.
    pub(crate) fn close_exception_port(
        &mut self,
        process: ProcessNo,
        exception: &ExceptionPort,
        closer: Tno,
    ) {
        if let Some((port, source)) = exception.source {
            self.close_exception_source(port, source, process);
        }
        self.drop_reference(exception.port, process, closer);
    }

    fn close_exception_source(&mut self, port: ObjectId, source: u32, process: ProcessNo) {
        let Some(receiving) = self.ports.get_mut(&port).and_then(Port::receiving_mut) else {
            return;
        };
        if let Some(Source::Exception(_, segment)) = receiving.sources.remove(&source) {
            segment.close();
            lose_waits(&segment.lane(Direction::ToServer));
            if !segment.lane(Direction::ToServer).map().is_empty() {
                receiving.sources.insert(
                    source,
                    Source::Lingering(Lingering {
                        segment,
                        context: 0,
                        is_kernel: true,
                        senders: BTreeSet::from([process]),
                    }),
                );
            }
        }
    }
}
