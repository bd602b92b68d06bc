//! The IAM documents that a chain needs: loaded into the simulator, they let it through, and nothing else.

mod common;

use aws_role_chain::test_util::Simulator;
use aws_role_chain::{Role, RoleChain};
use common::*;

#[test]
fn the_documents_read_as_iam_s_own_examples() {
    let aws = Simulator::new();
    let role = Role::new(TENANT)
        .external_id("c0ffee")
        .transitive_tag("team", "payments")
        .tag("cost centre", "7")
        .source_identity("ada");
    let chain = RoleChain::new(&aws.sdk_config(user(&aws)), role).unwrap();
    let hops = chain.policies(USER).unwrap();
    let [hop] = &hops[..] else { panic!("{hops:?}") };
    let trust = &hop.trust_policy;
    assert_eq!(
        trust.compact(),
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"AssumeRole","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"c0ffee","aws:RequestTag/team":"payments","aws:RequestTag/cost centre":"7","sts:SourceIdentity":"ada"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:user/orders"}}},{"Sid":"TagSession","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"sts:TagSession","Condition":{"StringEquals":{"aws:RequestTag/team":"payments","aws:RequestTag/cost centre":"7"},"ForAllValues:StringEquals":{"aws:TagKeys":["team","cost centre"],"sts:TransitiveTagKeys":"team"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:user/orders"}}},{"Sid":"SetSourceIdentity","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"sts:SetSourceIdentity","Condition":{"StringEquals":{"sts:SourceIdentity":"ada"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:user/orders"}}}]}"#
    );
    assert_eq!(trust.size(), 1025);
    let debug = format!("{hops:?}");
    assert!(!debug.contains("c0ffee"), "{debug}");
}
