//! The state that all requests share.

use std::error::Error;
use std::sync::Arc;

use aws_role_chain::{AllowedRoles, ChainPool, Role, RoleChain};
use aws_types::SdkConfig;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::customers::{self, Customers};
use crate::options::Options;
use crate::queue::Queue;

pub struct Service {
    pub hub: RoleChain,
    pub pool: ChainPool,
    pub customers: Customers,
    pub queue: Queue,
    pub figures: PrometheusHandle,
}

impl Service {
    /// Makes no call to AWS: if STS is unavailable, the service starts anyway, and `/healthz` reports that it is not
    /// ready.
    pub fn new(
        options: &Options,
        base: &SdkConfig,
        customers: &[u8],
        figures: PrometheusHandle,
    ) -> Result<Self, Box<dyn Error>> {
        // clap requires it, or sets a default with --local.
        let hub_arn = options.hub_arn.as_deref().unwrap_or_default();
        let hub = RoleChain::new(base, Role::new(hub_arn))?;
        // Customers enter the role ARNs. They must not be able to use the vendor's own roles, which may trust the hub,
        // nor, thanks to the external IDs, the roles of other customers.
        let own_account = hub_arn.split(':').nth(4).unwrap_or_default();
        let mut allowed = AllowedRoles::new()
            .deny_accounts([own_account])
            .require_external_id();
        if let Some(path) = &options.role_path {
            allowed = allowed.allow_paths([path]);
        }
        let allowed = Arc::new(allowed);
        // Checks the rules themselves: an invalid rule would look like a mistake of every customer.
        let checked = hub.assume(Role::new(hub_arn).allowed_roles(allowed.clone()));
        if let Err(error) = checked
            && error.field() == Some("allowed_roles")
        {
            return Err(format!("--role-path: {error}").into());
        }
        let queue = Queue::new(options.queue_mib);
        let pool = ChainPool::builder(hub.clone()).max_chains(options.max_chains as usize);
        let customers = customers::read(customers, &allowed, &queue);
        Ok(Self {
            customers: customers.map_err(|error| format!("--customers: {error}"))?,
            pool: pool.build(),
            hub,
            queue,
            figures,
        })
    }
}
