//! Message queues of threads.
//!
//! Source: Microsoft Learn "About Messages and Message Queues", `PostThreadMessageW`: a thread has a queue from its first
//! call of a message function on; a message to a thread without one is refused.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ob::object::Object;
use crate::ob::sync::Event;
use crate::ob::thread;

/// `WM_QUIT`.
pub const QUIT: u32 = 0x12;
/// Most messages in a queue ("there is a limit of 10,000 posted messages per message queue").
const LIMIT: usize = 10_000;

/// A message without a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub number: u32,
    /// `wParam`.
    pub word: usize,
    /// `lParam`.
    pub long: isize,
    /// When it was posted, in milliseconds since boot.
    pub time: u32,
}

/// Which numbers a call asks for; `WM_QUIT` comes in any case.
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    first: u32,
    last: u32,
}

impl Filter {
    /// Numbers from `first` to `last`; all of them if both are 0.
    #[must_use]
    pub const fn new(first: u32, last: u32) -> Self {
        let last = if first == 0 && last == 0 {
            u32::MAX
        } else {
            last
        };
        Filter { first, last }
    }

    fn lets_pass(self, number: u32) -> bool {
        number == QUIT || (self.first..=self.last).contains(&number)
    }
}

#[derive(Debug, Default)]
struct Messages {
    posted: VecDeque<Message>,
    /// Exit code of `PostQuitMessage`, which comes when nothing else is there.
    quit: Option<usize>,
    /// Whether messages came since somebody looked.
    has_new: bool,
}

/// The queue of a thread.
#[derive(Debug)]
pub struct Queue {
    messages: Mutex<Messages>,
    /// Set while there are messages nobody has looked at.
    news: Arc<Event>,
}

/// Queues by thread id.
static QUEUES: Mutex<Vec<(u32, Arc<Queue>)>> = Mutex::new(Vec::new());

/// Takes the queue away when the thread ends.
struct Own(u32, Arc<Queue>);

impl Drop for Own {
    fn drop(&mut self) {
        QUEUES.lock().retain(|(tid, _)| *tid != self.0);
    }
}

thread_local! {
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
}

/// Returns the queue of the calling thread, making it at the first call.
pub fn own() -> Arc<Queue> {
    OWN.with_borrow_mut(|own| {
        let own = own.get_or_insert_with(|| {
            let tid = crate::linux::thread_id();
            let queue = Arc::new(Queue {
                messages: Mutex::default(),
                news: Arc::new(Event::new(true, false)),
            });
            let mut queues = QUEUES.lock();
            queues.retain(|(other, _)| *other != tid);
            queues.push((tid, queue.clone()));
            Own(tid, queue)
        });
        own.1.clone()
    })
}

/// Returns the queue of a thread of this process that has one and lives.
pub fn of_thread(tid: u32) -> Option<Arc<Queue>> {
    thread::find(tid).ok()?;
    let queues = QUEUES.lock();
    let found = queues.iter().find(|(other, _)| *other == tid)?;
    Some(found.1.clone())
}

impl Queue {
    fn change<T>(&self, change: impl FnOnce(&mut Messages) -> T) -> T {
        let mut messages = self.messages.lock();
        let value = change(&mut messages);
        if messages.has_new {
            self.news.set();
        } else {
            self.news.reset();
        }
        value
    }

    /// Adds a message; `false` if the queue is full.
    pub fn post(&self, message: Message) -> bool {
        self.change(|messages| {
            if messages.posted.len() >= LIMIT {
                return false;
            }
            messages.posted.push_back(message);
            messages.has_new = true;
            true
        })
    }

    /// `PostQuitMessage`.
    pub fn post_quit(&self, code: usize) {
        self.change(|messages| {
            messages.quit = Some(code);
            messages.has_new = true;
        });
    }

    /// Returns the first message the filter lets pass, and takes it out if wanted. All messages count as seen then.
    pub fn look(&self, filter: Filter, removes: bool) -> Option<Message> {
        self.change(|messages| {
            messages.has_new = false;
            let found = messages
                .posted
                .iter()
                .position(|message| filter.lets_pass(message.number));
            if let Some(at) = found {
                return if removes {
                    messages.posted.remove(at)
                } else {
                    messages.posted.get(at).copied()
                };
            }
            let code = messages.quit?;
            if removes {
                messages.quit = None;
            }
            Some(Message {
                number: QUIT,
                word: code,
                long: 0,
                time: super::messages::now(),
            })
        })
    }

    /// Returns whether there are messages, and whether some came since the last look.
    pub fn status(&self) -> (bool, bool) {
        let messages = self.messages.lock();
        let has_any = !messages.posted.is_empty() || messages.quit.is_some();
        (has_any, has_any && messages.has_new)
    }

    /// Counts all messages as seen.
    pub fn seen(&self) {
        self.change(|messages| messages.has_new = false);
    }

    /// Returns the event that is set while there are new messages.
    pub fn news(&self) -> Arc<dyn Object> {
        self.news.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quitting_comes_last_and_filters_do_not_stop_it() {
        let queue = own();
        let message = |number| Message {
            number,
            word: 0,
            long: 0,
            time: 0,
        };
        queue.post_quit(5);
        assert!(queue.post(message(0x400)) && queue.post(message(0x401)));
        assert_eq!(queue.status(), (true, true));
        let all = Filter::new(0, 0);
        assert_eq!(
            queue.look(Filter::new(0x401, 0x401), true),
            Some(message(0x401))
        );
        assert_eq!(queue.status(), (true, false));
        assert_eq!(queue.look(all, false), Some(message(0x400)));
        assert_eq!(queue.look(all, true), Some(message(0x400)));
        let quit = queue.look(Filter::new(1, 1), true).expect("quit");
        assert_eq!((quit.number, quit.word), (QUIT, 5));
        assert_eq!(queue.status(), (false, false));
    }
}
