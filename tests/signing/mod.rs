//! Somebody who signs as SNS does, with a key of the test's own: the certificate is laid down where AWS's would be.

#![allow(dead_code, reason = "each test signs what it is about")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

/// The certificate's file, and the last part of its address.
pub(crate) const FILE: &str = "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";
pub(crate) const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:alarms-production";

pub(crate) struct Signer {
    key: RsaKeyPair,
    /// The certificate.
    pub(crate) pem: String,
}

impl Signer {
    pub(crate) fn new() -> Signer {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, "sns.amazonaws.com");
        let pem = params.self_signed(&pair).expect("a certificate").pem();
        let key = RsaKeyPair::from_pkcs8(&pair.serialize_der()).expect("an RSA key");
        Signer { key, pem }
    }

    /// Signs an envelope, whatever it says; version 2.
    pub(crate) fn sign(&self, mut envelope: Value) -> Value {
        envelope["SignatureVersion"] = "2".into();
        envelope["Signature"] = STANDARD.encode(self.signature(&to_sign(&envelope))).into();
        envelope
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a signature of RSA asks for chance, and this one uses none"
    )]
    fn signature(&self, text: &str) -> Vec<u8> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .expect("signed");
        signature
    }

    /// A notification that holds this message.
    pub(crate) fn notification(&self, message: &str, at: &str) -> Value {
        self.sign(json!({
            "Type": "Notification",
            "MessageId": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
            "TopicArn": TOPIC,
            "Subject": "ALARM: \"checkout\" in EU (Ireland)",
            "Message": message,
            "Timestamp": at,
            "SigningCertURL": format!("https://sns.eu-west-1.amazonaws.com/{FILE}"),
            "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        }))
    }

    /// The question whether a subscription is wanted, or that one was ended.
    pub(crate) fn confirmation(&self, kind: &str, subscribe_url: &str, at: &str) -> Value {
        self.asking("2336412f37fb687f5d51e6e2425a8a58", kind, subscribe_url, at)
    }

    /// The same, with this token.
    pub(crate) fn asking(&self, token: &str, kind: &str, subscribe_url: &str, at: &str) -> Value {
        self.sign(json!({
            "Type": kind,
            "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
            "Token": token,
            "TopicArn": TOPIC,
            "Message": "You have chosen to subscribe to the topic.\nTo confirm, visit the SubscribeURL.",
            "SubscribeURL": subscribe_url,
            "Timestamp": at,
            "SigningCertURL": format!("https://sns.eu-west-1.amazonaws.com/{FILE}"),
        }))
    }
}

/// What SNS signs of an envelope, by its developer guide.
pub(crate) fn to_sign(envelope: &Value) -> String {
    let keys: &[&str] = match envelope["Type"].as_str() {
        Some("Notification") => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        _ => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
    };
    let line = |key: &&str| Some(format!("{key}\n{}\n", envelope[*key].as_str()?));
    keys.iter().filter_map(line).collect()
}
