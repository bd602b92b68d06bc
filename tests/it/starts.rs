//! Starts whose request is not that of a role do what `tests/common/contracts.rs` says of each.

use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_role_chain::{Role, RoleChain};

use crate::common::contracts::CONTRACTS;
use crate::common::*;

#[tokio::test(start_paused = true)]
async fn every_parameter_of_a_start_reaches_sts_and_the_report() {
    for contract in CONTRACTS {
        let operation = contract.operation;
        let (aws, base) = aws();
        let device = new_device(&format!("contract-{operation}"));
        let given = |value: &str| value.replace("{device}", &device);
        let chain = (contract.full)(&base, &device).unwrap();
        // STS may not accept it.
        let _ = chain.refresh().await;
        let call = aws.calls().into_iter().next().unwrap();
        assert_eq!(call.action, operation);
        assert_eq!(call.host, "sts.eu-central-1.amazonaws.com", "{operation}");
        for (name, value) in contract.sent {
            assert_eq!(
                call.parameter(name),
                Some(&*given(value)),
                "{operation} {name}"
            );
        }
        let diagnosis = chain.diagnose().await;
        let step = diagnosis.steps().iter().find(|step| step.hop == 1).unwrap();
        let duration = step.duration.unwrap().as_secs().to_string();
        assert_eq!(Some(duration), call.duration_seconds, "{operation}");
        let region = ("region", "eu-central-1");
        for (name, value) in contract.reported.iter().chain([&region]) {
            let row = (*name, given(value));
            assert!(step.parameters.contains(&row), "{operation}: {row:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_credentials_of_a_start_last_as_requested_or_by_the_default_of_sts() {
    for contract in CONTRACTS {
        for (start, lifetime) in contract.lifetimes {
            let (_, base) = aws();
            let now = base.time_source().unwrap().now();
            let chain = start(&base).unwrap();
            chain.refresh().await.unwrap();
            let status = &chain.status()[0];
            let lasts = status.expiry.unwrap().duration_since(now).unwrap();
            // STS returns whole seconds.
            assert!(
                lifetime.abs_diff(lasts) <= Duration::from_secs(1),
                "{}: {lasts:?}",
                contract.operation
            );
            assert_eq!(status.session_arn.as_deref(), contract.session_arn);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn invalid_parameters_of_a_start_are_rejected_before_any_call() {
    for contract in CONTRACTS {
        for (start, field) in contract.invalid {
            let (aws, base) = aws();
            let error = start(&base).unwrap_err();
            assert_eq!(error.field(), Some(*field), "{}", contract.operation);
            assert_eq!(aws.requests(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_for_iam_users_rejects_temporary_credentials_before_the_call() {
    for contract in CONTRACTS
        .iter()
        .filter(|contract| contract.needs_long_term_keys)
    {
        let (aws, base) = aws();
        let hub = RoleChain::new(&base, Role::new(HUB)).unwrap();
        let source = SharedCredentialsProvider::new(hub);
        let base = base.to_builder().credentials_provider(source).build();
        let (start, _) = contract.lifetimes[0];
        let error = start(&base).unwrap().refresh().await.unwrap_err();
        assert!(error.to_string().contains("long-term keys"), "{error}");
        assert!(!error.is_transient());
        let calls = aws.calls().into_iter().map(|call| call.action);
        assert_eq!(calls.collect::<Vec<_>>(), ["AssumeRole"]);
    }
}
