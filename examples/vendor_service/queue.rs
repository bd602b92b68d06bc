//! What was taken from clients and is not on a stream yet. It is bounded: for the service, so that its memory is,
//! and for each customer, so that one whose stream is slow leaves room for the others.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, oneshot};

use crate::delivery::NotPut;
use crate::firehose::{MAX_BYTES, MAX_RECORDS};

/// The part of the queue that one customer may use.
const SHARE: u32 = 8;

/// Counts in KiB, of which a request has at least one.
pub struct Queue {
    room: Arc<Semaphore>,
    kib: u32,
}

/// Room in the queue, until it is dropped.
pub struct Place {
    _of_service: OwnedSemaphorePermit,
    _of_customer: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub enum Full {
    Service,
    Customer,
}

impl Queue {
    pub fn new(mib: u16) -> Self {
        let kib = u32::from(mib) * 1024;
        let room = Arc::new(Semaphore::new(kib as usize));
        Self { room, kib }
    }

    /// A new customer's part.
    pub fn lane(&self) -> Lane {
        let room = (self.kib / SHARE).max(kib(MAX_BYTES));
        Lane {
            room: Arc::new(Semaphore::new(room as usize)),
            waiting: Mutex::default(),
            turn: Semaphore::new(1),
        }
    }

    /// Makes room for a request, if there is any.
    pub fn reserve(&self, lane: &Lane, bytes: usize) -> Result<Place, Full> {
        let of_customer = lane.room.clone().try_acquire_many_owned(kib(bytes));
        let of_customer = of_customer.map_err(|_| Full::Customer)?;
        let of_service = self.room.clone().try_acquire_many_owned(kib(bytes));
        Ok(Place {
            _of_service: of_service.map_err(|_| Full::Service)?,
            _of_customer: of_customer,
        })
    }

    pub fn used_kib(&self) -> u32 {
        self.kib - self.room.available_permits() as u32
    }
}

fn kib(bytes: usize) -> u32 {
    bytes as u32 / 1024 + 1
}

/// A request whose client waits for the answer.
pub struct Waiting {
    /// Those not yet on the stream, with their line numbers.
    pub records: Vec<(usize, Bytes)>,
    pub answer: oneshot::Sender<Result<(), NotPut>>,
    pub _place: Place,
}

impl Waiting {
    /// Whether the client is still there.
    pub fn is_awaited(&self) -> bool {
        !self.answer.is_closed()
    }
}

/// The requests of one customer.
pub struct Lane {
    room: Arc<Semaphore>,
    waiting: Mutex<VecDeque<Waiting>>,
    turn: Semaphore,
}

impl Lane {
    pub fn push(&self, request: Waiting) {
        self.waiting().push_back(request);
    }

    /// Waits until no other batch of this customer is being put.
    pub async fn turn(&self) -> SemaphorePermit<'_> {
        let turn = self.turn.acquire().await;
        turn.expect("nobody closes it")
    }

    /// Takes as many of the waiting requests as fit into a batch. A request always does.
    pub fn take_batch(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        waiting.retain(Waiting::is_awaited);
        let (mut records, mut bytes) = (0, 0);
        let mut batch = Vec::new();
        while let Some(request) = waiting.pop_front_if(|request| {
            records += request.records.len();
            bytes += request
                .records
                .iter()
                .map(|(_, data)| data.len())
                .sum::<usize>();
            records <= MAX_RECORDS && bytes <= MAX_BYTES
        }) {
            batch.push(request);
        }
        batch
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
