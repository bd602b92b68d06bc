//! [`Environment`]: the time, region and endpoint at which a request is answered.

use std::time::SystemTime;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use crate::endpoint::{StsEndpoint, host_of, is_opt_in};
use crate::iam::{Accounts, Arrival};
use crate::protocol::ErrorResponse;
use crate::signature::Authorization;

/// The time, region and endpoint at which a request is answered.
pub(crate) struct Environment {
    /// The time by the clock of STS.
    pub(crate) now: SystemTime,
    /// Whether to issue credentials that have expired already.
    pub(crate) issues_expired: bool,
    /// When and how the request arrived, whoever sent it.
    pub(super) arrival: Arrival,
    region: String,
    is_global_endpoint: bool,
}

impl Environment {
    pub(crate) fn new(request: &HttpRequest, now: SystemTime, issues_expired: bool) -> Self {
        let endpoint = StsEndpoint::at(host_of(request.uri()));
        let signed_region = || {
            let authorization = Authorization::read(request);
            authorization.map_or_else(String::new, |authorization| authorization.region)
        };
        Self {
            now,
            issues_expired,
            arrival: Arrival::of(request, None, now),
            is_global_endpoint: endpoint.as_ref().is_some_and(|endpoint| endpoint.is_global),
            region: endpoint.map_or_else(signed_region, |endpoint| endpoint.region),
        }
    }

    pub(super) fn region(&self) -> &str {
        &self.region
    }

    pub(super) fn is_global_endpoint(&self) -> bool {
        self.is_global_endpoint
    }

    /// Checks that STS is active in this region for the account of the session; in an opt-in region, also for the
    /// caller's account.
    pub(super) fn check_region(
        &self,
        accounts: &Accounts,
        session_account: &str,
        caller_account: Option<&str>,
    ) -> Result<(), ErrorResponse> {
        let caller_account = caller_account.filter(|_| is_opt_in(&self.region));
        for account in [Some(session_account), caller_account]
            .into_iter()
            .flatten()
        {
            let place = (account.to_owned(), self.region.clone());
            if accounts.settings.disabled_regions.contains(&place) {
                let message = format!(
                    "STS is not activated in this region for account:{account}. Your account \
                     administrator can activate STS in this region using the IAM Console."
                );
                return Err(ErrorResponse::new(403, "RegionDisabledException", message));
            }
        }
        Ok(())
    }
}
