//! Which entry is ahead of which, kept while entries are put between others.

/// Where an entry is in an [`Order`], for as long as it is there. Moving it does not change this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position(u32);

impl Position {
    /// Ahead of every entry.
    pub(super) const HEAD: Self = Self(0);

    /// For tables by position: small numbers, used again.
    #[inline]
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// How far behind its neighbour an entry is put where there is room: what is opened one behind the
/// other needs no new labels, and thirty fit in between later before anything moves.
const STEP: u64 = 1 << 32;

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Ascending in the list from the head's on, which is anywhere in the circle of 2^64.
    label: u64,
    before: u32,
    behind: u32,
}

/// A list in which any two places are compared in constant time.
///
/// The circular list of Dietz and Sleator, "Two algorithms for maintaining order in a list" (STOC
/// 1987), section 2: each node has a label in a circle of numbers, and two are compared by how far
/// their labels are from the head's. Where there is no number left behind a node, the first `j` nodes
/// behind it are spread evenly, for the least `j` for which the way to the one after them is longer
/// than `j` squared. Putting a node in takes a logarithm of the length on average, taking one out or
/// comparing a constant.
#[derive(Debug)]
pub(super) struct Order {
    /// The head first; one that is not in the list is in `free`.
    nodes: Vec<Node>,
    free: Vec<u32>,
}

impl Default for Order {
    fn default() -> Self {
        Self { nodes: vec![Node { label: 0, before: 0, behind: 0 }], free: Vec::new() }
    }
}

impl Order {
    /// Puts a new node right behind another one.
    pub(super) fn insert_behind(&mut self, at: Position) -> Position {
        let new = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(self.nodes[0]);
            u32::try_from(self.nodes.len() - 1).expect("BUG: more entries than memory")
        });
        self.link_behind(at.0, new);
        Position(new)
    }

    /// Takes a node out; its position may be another one's from now on.
    pub(super) fn remove(&mut self, at: Position) {
        self.unlink(at.0);
        self.free.push(at.0);
    }

    /// Puts a node right ahead of another one.
    pub(super) fn move_ahead(&mut self, moved: Position, of: Position) {
        self.unlink(moved.0);
        self.link_behind(self.nodes[of.index()].before, moved.0);
    }

    /// Whether the first one is ahead of the second.
    #[inline]
    pub(super) fn is_ahead(&self, first: Position, second: Position) -> bool {
        let head = self.nodes[0].label;
        let far = |at: Position| self.nodes[at.index()].label.wrapping_sub(head);
        far(first) < far(second)
    }

    /// What is right behind; the head, when nothing is.
    #[inline]
    pub(super) fn behind(&self, at: Position) -> Position {
        Position(self.nodes[at.index()].behind)
    }

    fn unlink(&mut self, at: u32) {
        let Node { before, behind, .. } = self.nodes[at as usize];
        self.nodes[before as usize].behind = behind;
        self.nodes[behind as usize].before = before;
    }

    fn link_behind(&mut self, at: u32, new: u32) {
        if self.gap(at) < 2 {
            self.spread_behind(at);
        }
        let gap = self.gap(at);
        let Node { label, behind, .. } = self.nodes[at as usize];
        let label = label.wrapping_add((gap / 2).min(STEP));
        self.nodes[new as usize] = Node { label, before: at, behind };
        self.nodes[at as usize].behind = new;
        self.nodes[behind as usize].before = new;
    }

    /// How far the label of the next node is; one alone is nearly the whole circle from itself.
    fn gap(&self, at: u32) -> u64 {
        let Node { label, behind, .. } = self.nodes[at as usize];
        if behind == at { u64::MAX } else { self.nodes[behind as usize].label.wrapping_sub(label) }
    }

    /// Spreads the labels behind a node, as many as it takes to have room.
    fn spread_behind(&mut self, at: u32) {
        let from = self.nodes[at as usize].label;
        let (mut end, mut count) = (self.nodes[at as usize].behind, 1);
        let way = loop {
            // Once around: the way back to the node itself is the whole circle.
            let way = self.nodes[end as usize].label.wrapping_sub(from);
            let way = if end == at { u64::MAX } else { way };
            if way > count * count {
                break way;
            }
            (end, count) = (self.nodes[end as usize].behind, count + 1);
        };
        let mut next = self.nodes[at as usize].behind;
        for place in 1..count {
            let label = u128::from(way) * u128::from(place) / u128::from(count);
            let node = &mut self.nodes[next as usize];
            node.label = from.wrapping_add(label as u64);
            next = node.behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    #[derive(Clone, Debug)]
    enum Change {
        Insert(Index),
        /// Many at one place, as labels run out there.
        Crowd(Index, usize),
        Remove(Index),
        Move(Index, Index),
    }

    fn change() -> impl Strategy<Value = Change> {
        let at = any::<Index>;
        prop_oneof![
            at().prop_map(Change::Insert),
            (at(), 1..200_usize).prop_map(|(at, count)| Change::Crowd(at, count)),
            at().prop_map(Change::Remove),
            (at(), at()).prop_map(|(moved, of)| Change::Move(moved, of)),
        ]
    }

    /// The list with its head.
    fn apply(order: &mut Order, list: &mut Vec<Position>, change: &Change) {
        match change {
            Change::Insert(at) => {
                let at = at.index(list.len());
                list.insert(at + 1, order.insert_behind(list[at]));
            }
            Change::Crowd(at, count) => {
                let at = at.index(list.len());
                for _ in 0..*count {
                    list.insert(at + 1, order.insert_behind(list[at]));
                }
            }
            Change::Remove(at) if list.len() > 1 => {
                order.remove(list.remove(1 + at.index(list.len() - 1)));
            }
            Change::Move(moved, of) if list.len() > 2 => {
                let moved = list.remove(1 + moved.index(list.len() - 1));
                let of = 1 + of.index(list.len() - 1);
                order.move_ahead(moved, list[of]);
                list.insert(of, moved);
            }
            Change::Remove(_) | Change::Move(..) => {}
        }
    }

    proptest! {
        #[test]
        fn it_is_the_order_of_a_plain_list(changes in prop::collection::vec(change(), 0..60)) {
            let (mut order, mut list) = (Order::default(), vec![Position::HEAD]);
            for change in &changes {
                apply(&mut order, &mut list, change);
            }
            for (at, pair) in list.windows(2).enumerate() {
                prop_assert!(order.is_ahead(pair[0], pair[1]), "at {}", at);
                prop_assert!(!order.is_ahead(pair[1], pair[0]) && order.behind(pair[0]) == pair[1]);
            }
            prop_assert_eq!(order.behind(list[list.len() - 1]), Position::HEAD);
            let least = list.iter().skip(1).all(|&at| order.is_ahead(Position::HEAD, at));
            prop_assert!(least && list.iter().all(|&at| !order.is_ahead(at, at)));
        }
    }

    #[test]
    fn what_goes_around_the_circle_of_labels_stays_in_order() {
        let mut order = Order::default();
        let mut list = vec![Position::HEAD, order.insert_behind(Position::HEAD)];
        // As after four billion entries: three more have room before the head.
        order.nodes[0].label = u64::MAX - STEP;
        order.nodes[1].label = order.nodes[0].label - 3 * STEP;
        for _ in 0..10_000 {
            list.push(order.insert_behind(list[list.len() - 1]));
            assert!(list.is_sorted_by(|&a, &b| order.is_ahead(a, b)));
            if list.len() > 9 {
                order.remove(list.remove(1));
            }
        }
    }
}
