use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::BoxError;

/// Of larger bodies nothing is kept: few are, and where each request keeps so much, a thousand keep 64 MiB.
const MOST: usize = 64 * 1024;

/// The body of a request that may be sent more than once: what has been read of it is kept, up to [`MOST`].
#[derive(Debug)]
pub(crate) enum Kept<B> {
    /// There is none.
    Empty,
    /// Shared by all attempts.
    Shared(Arc<Mutex<Reading<B>>>),
}

/// What one attempt reads.
#[derive(Debug)]
pub(crate) struct Sent<B> {
    body: Kept<B>,
    attempt: u32,
    /// So much of what is kept has been read.
    at: usize,
    read: u64,
    /// Whether there is no more of it.
    is_all: bool,
}

/// A body and what is kept of it.
#[derive(Debug)]
pub(crate) struct Reading<B> {
    body: B,
    hint: SizeHint,
    /// A copy: each frame by itself would keep the whole buffer that it was read into, however small it is.
    kept: Vec<u8>,
    /// Whether all that has been read is kept.
    is_whole: bool,
    /// The attempt that reads; those before it have been given up, unless they have read all.
    attempt: u32,
    /// Whether that one has.
    is_sent: bool,
}

impl<B: Body<Data = Bytes>> Kept<B> {
    /// `body`, of which something is kept if it `may_be_sent_again`.
    pub(crate) fn new(body: B, may_be_sent_again: bool) -> Self {
        if body.is_end_stream() {
            return Self::Empty;
        }
        let hint = body.size_hint();
        let is_whole = may_be_sent_again && hint.lower() <= MOST as u64;
        Self::Shared(Arc::new(Mutex::new(Reading {
            body,
            hint,
            kept: Vec::new(),
            is_whole,
            attempt: 0,
            is_sent: false,
        })))
    }

    /// The whole body, for the next attempt. Whoever has read of it before and is not at its end gets no more.
    pub(crate) fn next(&self) -> Sent<B> {
        let (body, attempt) = match self {
            Self::Empty => (Self::Empty, 0),
            Self::Shared(shared) => {
                let mut reading = locked(shared);
                (reading.attempt, reading.is_sent) = (reading.attempt + 1, false);
                (Self::Shared(Arc::clone(shared)), reading.attempt)
            }
        };
        Sent { body, attempt, at: 0, read: 0, is_all: false }
    }

    /// Whether the last attempt has read all of it.
    pub(crate) fn is_sent(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Shared(shared) => locked(shared).is_sent,
        }
    }

    /// Whether all of it is still there.
    pub(crate) fn can_be_sent(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Shared(shared) => locked(shared).is_whole,
        }
    }
}

impl<B> Reading<B> {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let data = frame.data_ref().filter(|data| self.is_whole && self.kept.len() + data.len() <= MOST);
        match data {
            Some(data) => {
                self.make_room(self.kept.len() + data.len());
                self.kept.extend_from_slice(data);
            }
            // It is too much, or trailers, with which no request of ours ends.
            None => (self.is_whole, self.kept) = (false, Vec::new()),
        }
    }

    /// As a vector grows by itself, but never beyond [`MOST`].
    fn make_room(&mut self, size: usize) {
        if size > self.kept.capacity() {
            let room = (self.kept.capacity() * 2).clamp(size, MOST);
            self.kept.reserve_exact(room - self.kept.len());
        }
    }
}

/// Another attempt reads the body now.
#[derive(Debug, thiserror::Error)]
#[error("the request is sent elsewhere")]
struct GivenUp;

impl<B> Body for Sent<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let sent = self.get_mut();
        let Kept::Shared(shared) = &sent.body else { return Poll::Ready(None) };
        let mut reading = locked(shared);
        if sent.is_all {
            return Poll::Ready(None);
        }
        if reading.attempt != sent.attempt {
            return Poll::Ready(Some(Err(GivenUp.into())));
        }
        let frame = match &reading.kept[sent.at..] {
            kept if !kept.is_empty() => Frame::data(Bytes::copy_from_slice(kept)),
            _ => match Pin::new(&mut reading.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    reading.keep(&frame);
                    frame
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Ready(None) => {
                    (sent.is_all, reading.is_sent) = (true, true);
                    return Poll::Ready(None);
                }
                Poll::Pending => return Poll::Pending,
            },
        };
        sent.at = reading.kept.len();
        sent.read += frame.data_ref().map_or(0, |data| data.len() as u64);
        sent.is_all = reading.body.is_end_stream();
        reading.is_sent = sent.is_all;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let Kept::Shared(shared) = &self.body else { return true };
        let reading = locked(shared);
        self.is_all || (self.at >= reading.kept.len() && reading.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let Kept::Shared(shared) = &self.body else { return SizeHint::with_exact(0) };
        let whole = locked(shared).hint;
        let mut left = SizeHint::new();
        left.set_lower(whole.lower().saturating_sub(self.read));
        if let Some(upper) = whole.upper() {
            left.set_upper(upper.saturating_sub(self.read));
        }
        left
    }
}

fn locked<B>(shared: &Mutex<Reading<B>>) -> MutexGuard<'_, Reading<B>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{BodyExt as _, Full, StreamBody};

    use super::*;

    fn of(parts: &'static [&'static [u8]]) -> Kept<impl Body<Data = Bytes, Error = Infallible> + Unpin> {
        let frames = parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part))));
        Kept::new(StreamBody::new(stream::iter(frames)), true)
    }

    async fn read<B: Body<Data = Bytes> + Unpin>(mut sent: Sent<B>, frames: usize) -> (Vec<u8>, Sent<B>)
    where
        B::Error: Into<BoxError>,
    {
        let mut read = Vec::new();
        for _ in 0..frames {
            let Some(frame) = sent.frame().await else { break };
            read.extend(frame.unwrap().into_data().unwrap());
        }
        (read, sent)
    }

    #[tokio::test]
    async fn each_attempt_sends_the_whole_body_however_much_of_it_the_last_one_has_sent() {
        let kept = of(&[b"one ", b"two ", b"three"]);
        for frames in [0, 2, 1, 3, 9] {
            let (read, _) = read(kept.next(), frames).await;
            assert!(b"one two three".starts_with(&read[..]), "{read:?}");
            assert!(kept.can_be_sent());
        }
        assert_eq!(read(kept.next(), 9).await.0, b"one two three");
    }

    #[tokio::test]
    async fn an_attempt_that_was_given_up_reads_no_more() {
        let kept = of(&[b"one ", b"two"]);
        let (_, mut first) = read(kept.next(), 1).await;
        assert!(!kept.is_sent());
        let second = kept.next();
        assert_eq!(first.frame().await.unwrap().unwrap_err().to_string(), "the request is sent elsewhere");
        let (all, mut second) = read(second, 9).await;
        assert_eq!((&all[..], kept.is_sent()), (&b"one two"[..], true));
        let third = kept.next();
        assert!(!kept.is_sent() && second.is_end_stream());
        assert!(second.frame().await.is_none(), "of what has all of it nothing is taken");
        assert_eq!(read(third, 9).await.0, b"one two");
    }

    #[tokio::test]
    async fn what_is_too_large_is_sent_once_and_not_kept() {
        const PART: &[u8] = &[7; MOST / 2];
        let kept = of(&[PART, PART, b"more"]);
        let (_, sent) = read(kept.next(), 2).await;
        assert!(kept.can_be_sent(), "it fits so far");
        assert_eq!(read(sent, 1).await.0, b"more");
        assert!(!kept.can_be_sent());
        let announced = Kept::new(Full::new(Bytes::from(vec![7; MOST + 1])), true);
        assert!(!announced.can_be_sent(), "it is known before anything is read");
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_whatever_pieces_it_comes_in() {
        let held = Arc::new(vec![7; 40_000]);
        let piece = |size: usize| Bytes::from_owner(Held(Arc::clone(&held))).slice(..size);
        let sizes = std::iter::once(40_000).chain(std::iter::repeat_n(1, MOST - 40_000));
        let frames = sizes.map(|size| Ok::<_, Infallible>(Frame::data(piece(size))));
        let kept = Kept::new(StreamBody::new(stream::iter(frames)), true);
        let (first, _) = read(kept.next(), usize::MAX).await;
        assert_eq!((first.len(), kept.can_be_sent()), (MOST, true));
        assert_eq!(Arc::strong_count(&held), 1, "of the buffers that it came in none is held");
        let Kept::Shared(shared) = &kept else { panic!("there is a body") };
        assert_eq!(locked(shared).kept.capacity(), MOST);
        assert!(read(kept.next(), 1).await.0 == first, "at the next attempt it comes in one piece");
    }

    /// A buffer that many pieces are cut from.
    struct Held(Arc<Vec<u8>>);

    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    #[tokio::test]
    async fn the_size_of_what_is_left_is_told() {
        let kept = Kept::new(Full::new(Bytes::from("seven b")), true);
        for _ in 0..2 {
            let sent = kept.next();
            assert_eq!((sent.size_hint().exact(), sent.is_end_stream()), (Some(7), false));
            let (_, sent) = read(sent, 1).await;
            assert_eq!((sent.size_hint().exact(), sent.is_end_stream()), (Some(0), true));
        }
        let empty = Kept::new(Full::new(Bytes::new()), true);
        assert!(empty.next().is_end_stream() && empty.can_be_sent());
    }
}
