//! Sessions whose names tell the customer's CloudTrail who did it.

use aws_role_chain::Role;
use aws_role_chain::names::{session_name, tag_value};

/// A customer, as the service knows it.
pub struct Customer {
    /// The service's name for it.
    pub id: String,
    /// The role in the customer's account.
    pub role_arn: String,
    /// Made by the service, one for each customer.
    pub external_id: String,
}

/// Returns the role to assume for what `user` does in a customer's account.
pub fn role_for(customer: &Customer, user: &str) -> Role {
    Role::new(&customer.role_arn)
        .external_id(&customer.external_id)
        // In the ARN of the session, and so in each event and in S3's access logs. 64 characters.
        .session_name(session_name(["orders", &customer.id, user]))
        // In the events of all sessions that are made from this one, too; nobody can change it.
        .source_identity(session_name([user]))
        // For policies (aws:PrincipalTag/user). CloudTrail shows it in the event of AssumeRole only.
        .tag("user", tag_value(user))
}
