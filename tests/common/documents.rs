//! Policy documents for the tests.

pub const EXTERNAL_ID: &str = "c0ffee-external-id";

/// Returns a policy that allows one action on any resource.
pub fn allow(action: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}}}"#
    )
}

/// Returns a trust policy for one principal.
pub fn trusts(principal: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{
            "Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            "Principal": {{"AWS": "{principal}"}}}}}}"#
    )
}

/// Returns a trust policy that requires the external ID.
pub fn trusts_with_external_id(principal: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{
            "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {{"AWS": "{principal}"}},
            "Condition": {{"StringEquals": {{"sts:ExternalId": "{EXTERNAL_ID}"}}}}}}}}"#
    )
}
