//! The engine: ports, connections, messages, waits and answers, without any NT layout.
//!
//! | file | topic |
//! |---|---|
//! | `port.rs` | a port object of this process and its connection |
//! | `queue.rs` | the queue a port receives from |
//! | `owed.rs` | delivered requests that are not answered |
//! | `adopt.rs` | taking over a port whose handle came from another process |
//! | `inboxes.rs` | the inbox a process that connects again has mapped already |
//! | `resources.rs` | sections, views, reserves, security contexts of an ALPC port |
//! | `session.rs` | this process at the server: control calls, thread numbers, who is who |
//! | `loss.rs` | the death of the server |
//! | `message.rs` | a message between capture and slot |
//! | `send.rs` | datagrams and requests into a queue |
//! | `wait.rs` | waiting for the answer to a request |
//! | `answer.rs` | replies, callbacks, reply-and-wait |
//! | `converse.rs` | answers by message id, conversations without a waiting thread |
//! | `notify.rs` | telling a program of messages nobody waits for |
//! | `alert.rs` | user APCs that end a wait |
//! | `cancel.rs` | cancelling a message at either end |
//! | `receive.rs` | receiving the next message of a queue, and waiting for it |
//! | `take.rs` | taking a message out of shared memory |

mod adopt;
mod alert;
mod answer;
mod cancel;
mod converse;
pub mod inboxes;
mod loss;
mod message;
mod notify;
mod owed;
mod port;
mod queue;
mod receive;
mod resources;
mod send;
mod session;
mod take;
mod wait;

pub use adopt::{adopt, adopt_by_lifetime};
pub use alert::{Alertable, alertable, alerted};
pub use answer::{To, call_back, locate, reply, reply_and_wait};
pub use cancel::{Place, cancel, cookie_value, is_cancelled, is_outstanding, remember_cancelled};
pub use converse::{Found, Name, answer, answer_waiting, call_back_found, find, received};
pub use loss::PendingConnect;
pub use message::{Data, Incoming, Outgoing, with_buffer};
pub use notify::{Notifier, Ring};
pub use port::{Connection, NewPort, Port};
pub use queue::{Cookie, Outstanding, Peer, Queue};
pub use receive::{Received, keep, receive, receive_within};
pub use resources::{
    PortSection, PortView, RESERVE_BIT, Reserve, Resources, SectionLimits, SecurityContext, Sent,
};
pub use send::{Waiting, ask, request, request_remembered, send};
pub use session::{
    Me, Session, control_fd, existing_session, generation, me, renewed, session, thread_exit,
};
pub use wait::{LPC_REQUEST, wait};
