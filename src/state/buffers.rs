//! Buffers of messages, kept for the next messages.

use parking_lot::Mutex;

/// Empty buffers of inboxes. A publisher fills many at once: to free and allocate all of them again
/// and again would make the allocator return their memory to the system each time.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    /// The sum of their capacities.
    bytes: usize,
}

impl Buffers {
    /// Returns a buffer that was kept last, or a new one.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut kept = self.0.lock();
        let buffer = kept.buffers.pop().unwrap_or_default();
        kept.bytes -= buffer.capacity();
        buffer
    }

    /// Empties and keeps a buffer, unless it is long or the buffers take enough memory.
    pub(crate) fn keep(&self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if bytes == 0 || bytes > BUFFER_BYTES_MAX {
            return;
        }
        buffer.clear();
        let mut kept = self.0.lock();
        if kept.bytes + bytes <= KEPT_BYTES_MAX {
            kept.bytes += bytes;
            kept.buffers.push(buffer);
        }
    }
}

/// Maximum capacity of a buffer that is kept.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Maximum capacity of all that are kept: 16 KiB for each of a thousand subscribers.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_buffer_is_empty_and_has_its_memory() {
        let buffers = Buffers::default();
        assert_eq!(buffers.take().capacity(), 0);
        let mut buffer = Vec::with_capacity(100);
        buffer.extend(b"message");
        let capacity = buffer.capacity();
        buffers.keep(buffer);
        let again = buffers.take();
        assert!(again.is_empty());
        assert_eq!(again.capacity(), capacity);
        assert_eq!(buffers.take().capacity(), 0);
    }

    #[test]
    fn kept_memory_is_bounded() {
        let buffers = Buffers::default();
        buffers.keep(Vec::with_capacity(BUFFER_BYTES_MAX + 1));
        assert_eq!(buffers.take().capacity(), 0);
        for _ in 0..2 * KEPT_BYTES_MAX / BUFFER_BYTES_MAX {
            buffers.keep(Vec::with_capacity(BUFFER_BYTES_MAX));
        }
        assert_eq!(buffers.0.lock().bytes, KEPT_BYTES_MAX);
    }
}
