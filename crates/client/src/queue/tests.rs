use lastline_line::{Launch, Stream};
use proptest::prelude::*;

use super::*;

/// An item that was given, or how many were left out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Item(StreamId),
    LeftOut(Amount),
}

impl Item for Told {
    fn left_out(amount: Amount) -> Self {
        Self::LeftOut(amount)
    }
}

/// Lines of a stream, each of so many bytes.
struct Lines {
    stream: StreamId,
    bytes: usize,
    lines: u64,
    taken: u64,
}

impl Lines {
    fn new(rank: u32, bytes: usize, lines: u64) -> Self {
        Self { stream: stream(rank), bytes, lines, taken: 0 }
    }

    fn amount(&self, lines: u64, add: &mut dyn FnMut(Amount)) -> u64 {
        add(Amount { stream: self.stream, bytes: self.bytes as u64 * lines, lines });
        lines
    }
}

impl Offered<Told> for Lines {
    fn begin(&mut self) {
        self.taken = 0;
    }

    fn text_bytes(&mut self) -> Option<usize> {
        (self.taken < self.lines).then_some(self.bytes)
    }

    fn take(&mut self) -> (Told, usize) {
        self.taken += 1;
        (Told::Item(self.stream), self.bytes)
    }

    fn all(&self, add: &mut dyn FnMut(Amount)) -> u64 {
        self.amount(self.lines, add)
    }

    fn taken(&self, add: &mut dyn FnMut(Amount)) -> u64 {
        self.amount(self.taken, add)
    }
}

fn stream(rank: u32) -> StreamId {
    StreamId::new(Launch::default(), rank, Stream::Stdout)
}

fn next(queue: &Queue<Told>) -> Option<Told> {
    match queue.poll_next(&Context::from_waker(Waker::noop())) {
        Poll::Ready(told) => told,
        Poll::Pending => None,
    }
}

fn queue_of(queues: &Queues<Told>, bytes: usize) -> Arc<Queue<Told>> {
    queues.add(&SubscribeOptions { bytes })
}

#[test]
fn a_queue_that_was_full_takes_more_when_half_of_its_room_is_free() {
    let queues = Queues::default();
    let queue = queue_of(&queues, 4 * (ITEM_BYTES + 10));
    queues.offer(&mut Lines::new(0, 10, 6));
    let given = Some(Told::Item(stream(0)));
    assert_eq!(next(&queue), given);
    queues.offer(&mut Lines::new(0, 10, 1));
    assert_eq!(next(&queue), given);
    queues.offer(&mut Lines::new(0, 10, 1));
    assert_eq!([next(&queue), next(&queue)], [given; 2]);
    let amount = Amount { stream: stream(0), bytes: 30, lines: 3 };
    assert_eq!(next(&queue), Some(Told::LeftOut(amount)), "in one piece");
    assert_eq!((next(&queue), queue.told_left_out()), (given, 3));
    assert_eq!(next(&queue), None);
}

/// Who takes what is offered, and counts it by rank.
struct Reader {
    queue: Arc<Queue<Told>>,
    /// How much it takes after each offer.
    takes: usize,
    wanted: [u64; 3],
    told: [u64; 3],
    left_out: u64,
}

impl Reader {
    fn new(queues: &Queues<Told>, bytes: usize, takes: usize) -> Self {
        let queue = queue_of(queues, bytes);
        Self { queue, takes, wanted: [0; 3], told: [0; 3], left_out: 0 }
    }

    fn read(&mut self, most: usize) {
        for told in std::iter::from_fn(|| next(&self.queue)).take(most) {
            let (of, lines) = match told {
                Told::Item(of) => (of, 1),
                Told::LeftOut(amount) => {
                    self.left_out += amount.lines;
                    (amount.stream, amount.lines)
                }
            };
            self.told[of.rank as usize] += lines;
        }
    }
}

proptest! {
    /// Whatever the sizes, whoever comes when and takes how much.
    #[test]
    fn each_queue_gives_or_leaves_out_all_that_was_offered(
        offers in proptest::collection::vec((0..3_u32, 0..300_usize, 0..6_u64), 0..40),
        readers in proptest::collection::vec((0..3_000_usize, 0..40_usize, 0..5_usize), 1..4),
    ) {
        let queues = Queues::default();
        let mut there = Vec::new();
        for (at, (rank, bytes, lines)) in offers.into_iter().enumerate() {
            let come = readers.iter().filter(|(_, since, _)| *since == at);
            there.extend(come.map(|&(bytes, _, takes)| Reader::new(&queues, bytes, takes)));
            queues.offer(&mut Lines::new(rank, bytes, lines));
            for reader in &mut there {
                reader.wanted[rank as usize] += lines;
                reader.read(reader.takes);
            }
        }
        queues.end();
        for mut reader in there {
            reader.read(usize::MAX);
            prop_assert_eq!(reader.told, reader.wanted);
            prop_assert_eq!(reader.left_out, reader.queue.told_left_out());
        }
    }
}
