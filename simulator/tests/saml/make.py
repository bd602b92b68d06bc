#!/usr/bin/env python3
"""Creates the signed SAML responses and the metadata in this folder, with another implementation of XML signatures.

    pip install signxml==5.2.0 && python3 make.py
"""

import base64
import datetime
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from lxml import etree
from signxml import XMLSigner, methods

HERE = pathlib.Path(__file__).parent
ISSUER = "https://idp.example.com/metadata"
ALGORITHMS = {
    "method": methods.enveloped,
    "signature_algorithm": "rsa-sha256",
    "digest_algorithm": "sha256",
    "c14n_algorithm": "http://www.w3.org/2001/10/xml-exc-c14n#",
}
SIGNATURE = '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Id="placeholder"/>'


def response():
    """An assertion that is valid until the year 2100."""

    def attribute(name, value):
        return (
            f'<saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/{name}">'
            f"<saml:AttributeValue>{value}</saml:AttributeValue></saml:Attribute>"
        )

    role = "arn:aws:iam::222222222222:role/Hub,arn:aws:iam::222222222222:saml-provider/Company"
    return (
        '<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"'
        ' xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_response" Version="2.0">'
        f"<saml:Issuer>{ISSUER}</saml:Issuer>{{response}}"
        '<saml:Assertion ID="_assertion" Version="2.0">'
        f"<saml:Issuer>{ISSUER}</saml:Issuer>{{assertion}}"
        "<saml:Subject><saml:NameID>ada</saml:NameID><saml:SubjectConfirmation>"
        '<saml:SubjectConfirmationData Recipient="https://signin.aws.amazon.com/saml"/>'
        "</saml:SubjectConfirmation></saml:Subject>"
        '<saml:Conditions NotOnOrAfter="2100-01-01T00:00:00Z"><saml:AudienceRestriction>'
        "<saml:Audience>urn:amazon:webservices</saml:Audience></saml:AudienceRestriction></saml:Conditions>"
        f"<saml:AttributeStatement>{attribute('Role', role)}"
        f"{attribute('RoleSessionName', 'ada@example.com')}</saml:AttributeStatement>"
        "</saml:Assertion></samlp:Response>"
    )


def key_and_certificate():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "idp.example.com")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2026, 1, 1))
        .not_valid_after(datetime.datetime(2100, 1, 1))
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def signed(part, key, certificate):
    xml = response().format(**{"response": "", "assertion": "", part: SIGNATURE})
    root = etree.fromstring(xml)
    signer = XMLSigner(**ALGORITHMS)
    element = root if part == "response" else root.find("{*}Assertion")
    parent = element.getparent()
    result = signer.sign(
        element,
        key=key,
        cert=[certificate],
        reference_uri=element.get("ID"),
        id_attribute="ID",
    )
    if parent is None:
        root = result
    else:
        parent.replace(element, result)
    return base64.b64encode(etree.tostring(root)).decode()


def logout(key, certificate):
    """Another document that the identity provider signed with the same key."""
    xml = (
        '<samlp:LogoutResponse xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_logout" Version="2.0">'
        f"{SIGNATURE}</samlp:LogoutResponse>"
    )
    signer = XMLSigner(**ALGORITHMS)
    root = signer.sign(
        etree.fromstring(xml), key=key, cert=[certificate], reference_uri="_logout", id_attribute="ID"
    )
    return base64.b64encode(etree.tostring(root)).decode()


def metadata(certificate):
    text = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
    return (
        f'<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{ISSUER}">\n'
        '  <IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">\n'
        '    <KeyDescriptor use="signing">\n'
        '      <KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data>\n'
        f"        <X509Certificate>{text}</X509Certificate>\n"
        "      </X509Data></KeyInfo>\n"
        "    </KeyDescriptor>\n"
        "  </IDPSSODescriptor>\n"
        "</EntityDescriptor>\n"
    )


key, certificate = key_and_certificate()
(HERE / "metadata.xml").write_text(metadata(certificate))
(HERE / "signed-assertion.b64").write_text(signed("assertion", key, certificate) + "\n")
(HERE / "signed-response.b64").write_text(signed("response", key, certificate) + "\n")
(HERE / "signed-logout.b64").write_text(logout(key, certificate) + "\n")
(HERE / "signed-by-another.b64").write_text(signed("assertion", *key_and_certificate()) + "\n")
