//! The engine: ports, connections, messages, waits and answers, without any NT layout.
//!
//! | file | topic |
//! |---|---|
//! | `port.rs` | a port object of this process, its queue and its connection |
//! | `session.rs` | this process at the server: control calls, thread numbers, who is who |
//! | `message.rs` | a message between capture and slot |
//! | `send.rs` | datagrams and requests into a queue |
//! | `wait.rs` | waiting for the answer to a request |
//! | `answer.rs` | replies, callbacks, reply-and-wait |
//! | `receive.rs` | taking the next message of a queue |

mod port;
mod session;

pub use port::{Connection, Peer, Port, Queue};
pub use session::{Me, Session, control_fd, existing_session, me, session, thread_exit};
