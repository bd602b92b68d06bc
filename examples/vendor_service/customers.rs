//! The customers, which are read once at start-up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_role_chain::names::session_name;
use aws_role_chain::{AllowedRoles, Role};
use aws_types::region::Region;
use serde_json::Value;

use crate::queue::{CustomerQueue, Queue};
use crate::row::{self, name_or_row};

/// The maximum number of rows that an error lists.
const SHOWN: usize = 10;

pub struct Customer {
    pub id: String,
    pub role: Role,
    pub stream: String,
    pub region: Region,
    pub queue: CustomerQueue,
    /// The error code while the role or stream rejects records.
    pub rejected_with: Mutex<Option<String>>,
}

pub type Customers = HashMap<String, Arc<Customer>>;

/// Parses all rows. Any mistake rejects the whole file, so that a deployment with a wrong file fails at start-up. A
/// role that the rules forbid is not such a mistake, because customers enter the roles: only that customer's requests
/// fail.
pub fn read(
    json: &[u8],
    allowed: &Arc<AllowedRoles>,
    queue: &Queue,
) -> Result<Customers, Box<dyn std::error::Error>> {
    let Value::Array(rows) = serde_json::from_slice(json)? else {
        return Err("must be a JSON array of customers".into());
    };
    let mut customers = Customers::with_capacity(rows.len());
    let mut mistakes = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let customer = row::Customer::read(row).and_then(|row| match customers.get(&row.name) {
            Some(_) => Err("another row has the same name".to_owned()),
            None => Ok(Customer::new(row, allowed, queue.for_customer())),
        });
        match customer {
            Ok(customer) => drop(customers.insert(customer.id.clone(), Arc::new(customer))),
            Err(mistake) => mistakes.push(format!("\n  {}: {mistake}", name_or_row((i, row)))),
        }
    }
    if mistakes.is_empty() {
        return Ok(customers);
    }
    let more = mistakes.len().saturating_sub(SHOWN);
    let mut error: String = mistakes.into_iter().take(SHOWN).collect();
    if more > 0 {
        error += &format!("\n  and {more} more rows");
    }
    Err(error.into())
}

impl Customer {
    fn new(row: row::Customer, allowed: &Arc<AllowedRoles>, queue: CustomerQueue) -> Self {
        // The customer sees the session name in CloudTrail.
        let session_name = session_name(["vendor_service", &row.name]);
        Self {
            role: Role::new(row.role_arn)
                .external_id(row.external_id)
                .session_name(session_name)
                .allowed_roles(allowed.clone()),
            id: row.name,
            stream: row.stream,
            region: Region::new(row.region),
            queue,
            rejected_with: Mutex::default(),
        }
    }
}
