use aws_role_chain::RoleChain;
use aws_sdk_s3::Client;
use recipes::session_name::{Customer, role_for};
use sts_simulator::HttpResponse;

use crate::documents::{EXTERNAL_ID, trusts_with_external_id};
use crate::world::{B, WRITER, found, simulated};

fn customer() -> Customer {
    Customer {
        id: "acme".to_owned(),
        role_arn: WRITER.to_owned(),
        external_id: EXTERNAL_ID.to_owned(),
    }
}

#[tokio::test]
async fn the_customer_sees_who_did_it_whatever_the_name() {
    let (aws, base) = simulated();
    // In a separate statement, because these two actions have no external ID.
    let trust = trusts_with_external_id(B).replace(
        r#""Statement": {"#,
        r#""Statement": [{"Effect": "Allow", "Action": ["sts:TagSession", "sts:SetSourceIdentity"],
            "Principal": {"AWS": "111111111111"}}, {"#,
    );
    let trust = format!("{}]}}", trust.strip_suffix('}').unwrap());
    aws.role(WRITER).trust(trust).create().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    aws.service("s3", move |caller, _| {
        let tag = caller.session_tag("user").map(str::to_owned);
        let seen = (caller.arn().to_owned(), tag);
        sender.lock().unwrap().send(seen).unwrap();
        HttpResponse::new(200.try_into().unwrap(), "".into())
    });
    let cases = [
        (
            "ada@example.com",
            "orders,acme,ada@example.com",
            "ada@example.com",
        ),
        ("Grace Hopper", "orders,acme,Grace_Hopper=", "Grace_Hopper="),
        ("日本\n\"x\"", "orders,acme,____x_=", "____x_="),
    ];
    for (user, session, identity) in cases {
        let chain = RoleChain::new(&base, role_for(&customer(), user)).unwrap();
        let s3 = Client::new(&chain.sdk_config());
        s3.delete_object()
            .bucket("b")
            .key("k")
            .send()
            .await
            .unwrap();
        let (arn, tag) = receiver.recv().unwrap();
        let (_, name) = arn.rsplit_once('/').unwrap();
        assert!(name.starts_with(session), "{name}");
        assert!(tag.is_some());
        let calls = aws.calls();
        let call = calls.last().unwrap();
        let sent = call.parameter("SourceIdentity").unwrap();
        assert!(sent.starts_with(identity), "{sent}");
    }
}

#[tokio::test]
async fn a_trust_policy_that_does_not_allow_it_is_named() {
    let (_aws, base) = simulated();
    let chain = RoleChain::new(&base, role_for(&customer(), "ada")).unwrap();
    let error = chain.refresh().await.unwrap_err();
    let text = found(&error).to_string();
    assert!(text.contains("sts:SetSourceIdentity"), "{text}");
}
