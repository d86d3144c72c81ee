//! The timely graph of one worker: positions by partition and edits to everybody, folded when their epoch has closed.

use crate::commit::Closed;
use crate::fold::{Epoch, Fold};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilderSession;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::vec::Broadcast;
use timely::dataflow::operators::{Capability, Input, InputCapability, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};
use timely::worker::Worker;
use waystream_domain::Timestamp;
use waystream_domain::geofence::IndexEdit;
use waystream_log::Batch;

/// Number of an epoch: wall clock divided by its length. The same on every worker without any agreement.
pub(crate) type EpochNumber = u64;

/// Something that goes from worker to worker of this process. Timely asks for serde because it could cross processes;
/// ours never does: a dead process would take the others with it.
#[derive(Clone)]
pub(crate) struct InProcess<T>(pub(crate) T);

impl<T> Serialize for InProcess<T> {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("stays in its process"))
    }
}

impl<'de, T> Deserialize<'de> for InProcess<T> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("stays in its process"))
    }
}

/// What a worker is to take in.
#[derive(Clone)]
pub(crate) enum Work {
    /// Positions of one partition.
    Positions(Batch),
    /// All that was received up to this time has been taken in before. With one of the worker's partitions.
    Clock(u32, Timestamp),
}

impl Work {
    fn partition(&self) -> u32 {
        match self {
            Self::Positions(batch) => batch.partition,
            Self::Clock(partition, _) => *partition,
        }
    }
}

/// Catalog edits, and where the catalog goes on.
pub(crate) type Edits = (Vec<IndexEdit>, u64);

/// Closed epochs in order.
pub(crate) type Outbox = Rc<RefCell<VecDeque<Closed>>>;

type Handle<T> = InputHandle<EpochNumber, CapacityContainerBuilder<Vec<InProcess<T>>>>;

/// A worker's ends of the graph.
pub(crate) struct Graph {
    pub(crate) positions: Handle<Work>,
    pub(crate) edits: Handle<Edits>,
    /// Behind everything: which epochs are folded by all workers.
    pub(crate) probe: ProbeHandle<EpochNumber>,
    /// Behind this worker's fold.
    pub(crate) outbox: Outbox,
}

/// An epoch that is not closed yet, with the right to keep it open.
struct Open {
    _capability: Capability<EpochNumber>,
    epoch: Epoch,
}

/// The epoch of a message.
fn open<'a>(stash: &'a mut BTreeMap<EpochNumber, Open>, capability: &InputCapability<EpochNumber>) -> Option<&'a mut Epoch> {
    let capability = capability.retain_least(0)?;
    let new = |capability| Open { _capability: capability, epoch: Epoch::default() };
    let open = stash.entry(*capability.time()).or_insert_with(|| new(capability));
    Some(&mut open.epoch)
}

/// Builds the graph. `ended_at` is the end of an epoch.
pub(crate) fn build(
    worker: &mut Worker,
    fold: Rc<RefCell<Fold>>,
    ended_at: impl Fn(EpochNumber) -> Timestamp + 'static,
) -> Graph {
    let outbox = Outbox::default();
    let out = outbox.clone();
    let probe = ProbeHandle::new();
    let (positions, edits) = worker.dataflow::<EpochNumber, _, _>(|scope| {
        let (positions_in, positions) = scope.new_input::<Vec<InProcess<Work>>>();
        let (edits_in, edits) = scope.new_input::<Vec<InProcess<Edits>>>();
        // Who reads a partition also keeps its devices, so nothing moves and commits need no agreement.
        let by_partition = Exchange::new(|work: &InProcess<Work>| u64::from(work.0.partition()));
        positions
            .binary_frontier(edits.broadcast(), by_partition, Pipeline, "fold", move |_, _| {
                let mut stash = BTreeMap::new();
                move |(positions, positions_open), (edits, edits_open), _: &mut Nothing<'_>| {
                    // Not for_each_stamp: it may change the order of batches of one epoch.
                    positions.for_each(|capability, batches| {
                        if let Some(epoch) = open(&mut stash, &capability) {
                            for InProcess(work) in batches.drain(..) {
                                match work {
                                    Work::Positions(batch) => epoch.positions.push(batch),
                                    Work::Clock(_, now) => epoch.clock = Some(now),
                                }
                            }
                        }
                    });
                    edits.for_each(|capability, batches| {
                        if let Some(epoch) = open(&mut stash, &capability) {
                            for InProcess((edits, next)) in batches.drain(..) {
                                epoch.edits.extend(edits);
                                epoch.catalog_next = Some(next);
                            }
                        }
                    });
                    while let Some(first) = stash.first_entry() {
                        let number = *first.key();
                        if positions_open.less_equal(&number) || edits_open.less_equal(&number) {
                            break;
                        }
                        let Open { epoch, _capability } = first.remove();
                        let closed = fold.borrow_mut().epoch(epoch, ended_at(number));
                        out.borrow_mut().push_back(closed);
                    }
                }
            })
            .container::<Vec<()>>()
            .probe_with(&probe);
        (positions_in, edits_in)
    });
    Graph { positions, edits, probe, outbox }
}

type Nothing<'a> = OutputBuilderSession<'a, EpochNumber, CapacityContainerBuilder<Vec<()>>>;
