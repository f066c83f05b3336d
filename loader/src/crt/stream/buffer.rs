//! What a stream does with its buffer: reading, writing, pushing back, seeking.

use super::{BUFFER, Buffering, File, Stream, flag};
use crate::crt::errno::{self, code};
use crate::crt::fd::{self, Mode};
use crate::crt::os::Whence;
use crate::export::Ptr;

impl Stream {
    /// Shows descriptor and conditions in the guest's `FILE`.
    pub fn publish(&self) {
        let eof = if self.is_eof { flag::EOF } else { 0 };
        let error = if self.is_error { flag::ERROR } else { 0 };
        self.file.write(File {
            next: Ptr::NULL,
            count: 0,
            base: Ptr::NULL,
            flag: flag::IN_USE | eof | error,
            fd: self.fd,
            charbuf: 0,
            bufsiz: 0,
            tmpfname: Ptr::NULL,
        });
    }

    /// Notes a failure.
    fn failed(&mut self, number: i32) -> i32 {
        errno::set_errno(number);
        self.is_error = true;
        self.publish();
        number
    }

    /// Clears end and error.
    pub fn clear(&mut self) {
        self.is_eof = false;
        self.is_error = false;
        self.publish();
    }

    /// Sets buffering and capacity.
    pub fn set_buffering(&mut self, buffering: Buffering, capacity: usize) {
        // A failed flush shows at the next write.
        let _ = self.flush();
        self.buffering = buffering;
        self.capacity = capacity.max(2);
    }

    /// Returns the translation of the descriptor.
    pub fn mode(&self) -> Mode {
        fd::get(self.fd).map_or(Mode::Binary, |fd| fd.mode)
    }

    /// Writes the buffer out.
    pub fn flush(&mut self) -> Result<(), i32> {
        if self.output.is_empty() {
            return Ok(());
        }
        let output = std::mem::take(&mut self.output);
        fd::write_raw(self.fd, &output).map_err(|number| self.failed(number))
    }

    /// Writes bytes, translated if the stream is text.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), i32> {
        if self.mode() == Mode::Binary {
            self.write_raw(bytes)
        } else {
            self.write_raw(&fd::to_text(bytes))
        }
    }

    /// Writes bytes as they are.
    pub fn write_raw(&mut self, bytes: &[u8]) -> Result<(), i32> {
        self.drop_input()?;
        if fd::get(self.fd).is_err() {
            return Err(self.failed(code::EBADF));
        }
        if self.output.len() + bytes.len() > self.capacity {
            self.flush()?;
        }
        if bytes.len() >= self.capacity {
            return fd::write_raw(self.fd, bytes).map_err(|number| self.failed(number));
        }
        self.output.extend_from_slice(bytes);
        if self.buffering == Buffering::None {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Forgets bytes read ahead: the file pointer goes back to where the guest is.
    fn drop_input(&mut self) -> Result<(), i32> {
        let ahead = self.input.len() - self.read_at;
        self.pushed.clear();
        self.input.clear();
        self.read_at = 0;
        if ahead > 0 {
            let back = -i64::try_from(ahead).unwrap_or(0);
            // A pipe has no place to go back to.
            match fd::seek(self.fd, back, Whence::Current) {
                Ok(_) | Err(code::ESPIPE) => {}
                Err(number) => return Err(self.failed(number)),
            }
        }
        Ok(())
    }

    /// Fills the input buffer; false at the end or after a failure.
    fn fill(&mut self) -> bool {
        if self.flush().is_err() {
            return false;
        }
        let mut buffer = vec![
            0;
            if self.buffering == Buffering::None {
                BUFFER
            } else {
                self.capacity
            }
        ];
        match fd::read_raw(self.fd, &mut buffer) {
            Ok(0) => {
                self.is_eof = true;
                self.publish();
                false
            }
            Ok(done) => {
                buffer.truncate(done);
                self.input = buffer;
                self.read_at = 0;
                true
            }
            Err(number) => {
                self.failed(number);
                false
            }
        }
    }

    fn peek_raw(&mut self) -> Option<u8> {
        if self.read_at == self.input.len() && !self.fill() {
            return None;
        }
        self.input.get(self.read_at).copied()
    }

    /// Takes a byte; text is translated.
    pub fn get(&mut self) -> Option<u8> {
        const CTRL_Z: u8 = 0x1A;
        if let Some(byte) = self.pushed.pop() {
            return Some(byte);
        }
        let is_text = self.mode() != Mode::Binary;
        let byte = self.peek_raw()?;
        if is_text && byte == CTRL_Z {
            self.is_eof = true;
            self.publish();
            return None;
        }
        self.read_at += 1;
        if is_text && byte == b'\r' && self.peek_raw() == Some(b'\n') {
            self.read_at += 1;
            return Some(b'\n');
        }
        Some(byte)
    }

    /// Takes up to `count` bytes.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count.min(1 << 20));
        let is_binary = self.mode() == Mode::Binary;
        while bytes.len() < count {
            let ready = self.input.len() - self.read_at;
            if is_binary && self.pushed.is_empty() && ready > 0 {
                let taken = ready.min(count - bytes.len());
                bytes.extend_from_slice(&self.input[self.read_at..self.read_at + taken]);
                self.read_at += taken;
                continue;
            }
            let Some(byte) = self.get() else { break };
            bytes.push(byte);
        }
        bytes
    }

    /// Puts a byte back; the end is forgotten.
    pub fn unget(&mut self, byte: u8) {
        self.pushed.push(byte);
        if self.is_eof {
            self.is_eof = false;
            self.publish();
        }
    }

    /// Returns the position the guest is at.
    pub fn tell(&mut self) -> Result<i64, i32> {
        let position = fd::seek(self.fd, 0, Whence::Current)?;
        let ahead = i64::try_from(self.input.len() - self.read_at + self.pushed.len()).unwrap_or(0);
        let behind = i64::try_from(self.output.len()).unwrap_or(0);
        Ok(position - ahead + behind)
    }

    /// Moves to a position.
    pub fn seek(&mut self, offset: i64, whence: Whence) -> Result<(), i32> {
        self.flush()?;
        let target = if whence == Whence::Current {
            self.tell()?.saturating_add(offset)
        } else {
            offset
        };
        let whence = if whence == Whence::Current {
            Whence::Start
        } else {
            whence
        };
        self.input.clear();
        self.read_at = 0;
        self.pushed.clear();
        fd::seek(self.fd, target, whence)?;
        if self.is_eof {
            self.is_eof = false;
            self.publish();
        }
        Ok(())
    }
}
