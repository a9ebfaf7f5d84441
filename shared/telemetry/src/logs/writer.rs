use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Lines that may wait to be written: seconds of a talkative service, and a few megabytes.
const MOST_WAITING: usize = 8_192;

/// How long the end of the process waits for what was logged last.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes lines from a thread of its own. Whoever reads them may stop reading, and a pipe that is full holds up whoever
/// writes to it: that must be nobody who serves.
#[derive(Debug)]
pub(super) struct Writer {
    queue: SyncSender<Job>,
    dropped: Arc<AtomicU64>,
}

enum Job {
    Line(String),
    /// Tells when everything before it has been written.
    Flush(SyncSender<()>),
}

impl Writer {
    /// Writes to `out`; `notice` is the line that tells how many were dropped.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        notice: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(MOST_WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        #[expect(
            clippy::disallowed_methods,
            reason = "the log outlives all tasks, and a reader that stalls must not keep it from being left behind"
        )]
        thread::Builder::new().name("log".to_owned()).spawn(move || write(out, &jobs, &counted, notice))?;
        Ok(Self { queue, dropped })
    }

    /// Takes lines, or drops them where too many wait.
    pub(super) fn sink(&self) -> impl Fn(String) + Send + Sync + use<> {
        let (queue, dropped) = (self.queue.clone(), Arc::clone(&self.dropped));
        move |line| {
            if queue.try_send(Job::Line(line)).is_err() {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits until what was taken has been written, but not for a reader that has stalled.
    pub(super) fn flush(&self) {
        let (written, is_written) = sync_channel(1);
        for _ in 0..PATIENCE.as_millis() {
            if self.queue.try_send(Job::Flush(written.clone())).is_ok() {
                // In time or not: the process ends.
                is_written.recv_timeout(PATIENCE).unwrap_or_default();
                return;
            }
            thread::park_timeout(Duration::from_millis(1));
        }
    }
}

fn write(mut out: impl Write, jobs: &Receiver<Job>, dropped: &AtomicU64, notice: impl Fn(u64) -> String) {
    for job in jobs {
        match job {
            // There is nowhere to tell that stderr is gone.
            Job::Line(line) => drop(out.write_all(line.as_bytes())),
            Job::Flush(written) => drop(written.send(())),
        }
        let missing = dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            drop(out.write_all(notice(missing).as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A reader that reads nothing until it is let.
    struct Stalled {
        read: Arc<Mutex<String>>,
        may_read: Receiver<()>,
    }

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Once the sender is gone, everything passes.
            self.may_read.recv().unwrap_or_default();
            self.read.lock().unwrap().push_str(str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stalls_holds_up_nobody_and_is_told_what_is_missing() {
        let (let_read, may_read) = sync_channel(0);
        let read = Arc::new(Mutex::new(String::new()));
        let stalled = Stalled { read: Arc::clone(&read), may_read };
        let writer = Writer::start(stalled, |missing| format!("{missing} missing\n")).unwrap();
        let log = writer.sink();
        for number in 0..2 * MOST_WAITING {
            log(format!("{number}\n"));
        }
        drop(let_read);
        writer.flush();
        let read = read.lock().unwrap();
        assert!(read.starts_with("0\n"), "{read}");
        let missing = read.lines().find_map(|line| line.strip_suffix(" missing")).unwrap();
        let written = read.lines().filter(|line| line.parse::<usize>().is_ok()).count();
        assert_eq!(written + missing.parse::<usize>().unwrap(), 2 * MOST_WAITING);
    }
}
