//! The queue of records that are not on a stream yet. Its size is limited for the service, which bounds the memory, and
//! for each customer, so that a slow stream leaves room for the other customers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, oneshot};

use crate::delivery::NotPut;
use crate::firehose::{MAX_BYTES, MAX_RECORDS};

/// One customer may use one eighth of the queue.
const SHARE: u32 = 8;

/// The limit for the service. Counts in KiB; a request counts as at least 1 KiB.
pub struct Queue {
    room: Arc<Semaphore>,
    kib: u32,
}

/// Reserved room in the queue, which is released when this is dropped.
pub struct Reservation {
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

    /// Creates the queue of a customer.
    pub fn for_customer(&self) -> CustomerQueue {
        let room = (self.kib / SHARE).max(kib(MAX_BYTES));
        CustomerQueue {
            room: Arc::new(Semaphore::new(room as usize)),
            waiting: Mutex::default(),
            delivery: Semaphore::new(1),
        }
    }

    /// Reserves room for a request. The error says which limit has been reached.
    pub fn reserve(&self, customer: &CustomerQueue, bytes: usize) -> Result<Reservation, Full> {
        let of_customer = customer.room.clone().try_acquire_many_owned(kib(bytes));
        let of_customer = of_customer.map_err(|_| Full::Customer)?;
        let of_service = self.room.clone().try_acquire_many_owned(kib(bytes));
        Ok(Reservation {
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

/// A queued request, whose client waits for the answer.
pub struct Waiting {
    /// The records that are not yet on the stream, with their line numbers.
    pub records: Vec<(usize, Bytes)>,
    pub answer: oneshot::Sender<Result<(), NotPut>>,
    pub _reservation: Reservation,
}

impl Waiting {
    /// Returns whether the client is still connected.
    pub fn is_awaited(&self) -> bool {
        !self.answer.is_closed()
    }
}

/// The queued requests of one customer.
pub struct CustomerQueue {
    room: Arc<Semaphore>,
    waiting: Mutex<VecDeque<Waiting>>,
    delivery: Semaphore,
}

impl CustomerQueue {
    pub fn push(&self, request: Waiting) {
        self.waiting().push_back(request);
    }

    /// Waits until no other batch of this customer is being put.
    pub async fn lock_delivery(&self) -> SemaphorePermit<'_> {
        let permit = self.delivery.acquire().await;
        permit.expect("the semaphore is never closed")
    }

    /// Takes as many requests as fit into a batch. One always fits, because requests have the limits of a batch.
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
