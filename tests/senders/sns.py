"""A second implementation of SNS's signature beside ours, and the way from a live SNS to the server under test.

  sns.py key FOLDER               makes a key and its certificate, as AWS would serve it
  sns.py sign FOLDER VERSION      signs the envelope on standard input
  sns.py verify                   says whether the envelope is right, of {"pem", "envelope"} on standard input
  sns.py relay FOLDER TO          takes what a live SNS posts and passes it on: as it came, with the address
                                  of a certificate that counts, and signed; prints its port,
                                  then a line of JSON for each
"""

import base64
import datetime
import http.server
import json
import pathlib
import sys
import urllib.error
import urllib.request

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

FILE = "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
HASHES = {"1": hashes.SHA1, "2": hashes.SHA256}


def to_sign(envelope):
    """The pairs that the developer guide lists, sorted by key, a line each."""
    keys = ["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
    if envelope["Type"] == "Notification":
        keys += ["Subject"] if envelope.get("Subject") is not None else []
    else:
        keys += ["SubscribeURL", "Token"]
    return "".join(f"{key}\n{envelope[key]}\n" for key in sorted(keys)).encode()


def key(folder):
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(made.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .sign(made, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(pem)


def sign(folder, version, envelope):
    made = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), password=None)
    region = envelope["TopicArn"].split(":")[3]
    envelope["SignatureVersion"] = version
    envelope["SigningCertURL"] = f"https://sns.{region}.amazonaws.com/{FILE}"
    signature = made.sign(to_sign(envelope), padding.PKCS1v15(), HASHES[version]())
    envelope["Signature"] = base64.b64encode(signature).decode()
    return envelope


def verify(pem, envelope):
    certificate = x509.load_pem_x509_certificate(pem.encode())
    try:
        certificate.public_key().verify(
            base64.b64decode(envelope["Signature"]),
            to_sign(envelope),
            padding.PKCS1v15(),
            HASHES[envelope["SignatureVersion"]](),
        )
        return True
    except InvalidSignature:
        return False


def passed_on(to, body):
    request = urllib.request.Request(to, data=body, headers={"Content-Type": "text/plain; charset=UTF-8"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return opener.open(request, timeout=20).status
    except urllib.error.HTTPError as refused:
        return refused.code


def relay(folder, to):
    class Relay(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            as_it_came = passed_on(to, body)
            envelope = json.loads(body)
            # The address is not signed: this is still the emulator's signature, beside a certificate that counts.
            region = envelope["TopicArn"].split(":")[3]
            named = dict(envelope, SigningCertURL=f"https://sns.{region}.amazonaws.com/{FILE}")
            named = passed_on(to, json.dumps(named).encode())
            signed = passed_on(to, json.dumps(sign(folder, "2", envelope)).encode())
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            told = {"type": envelope["Type"], "as_it_came": as_it_came, "named": named, "signed": signed}
            print(json.dumps(told), flush=True)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    print(server.server_address[1], flush=True)
    server.serve_forever()


what = sys.argv[1]
if what == "key":
    key(pathlib.Path(sys.argv[2]))
elif what == "sign":
    print(json.dumps(sign(pathlib.Path(sys.argv[2]), sys.argv[3], json.load(sys.stdin))))
elif what == "verify":
    asked = json.load(sys.stdin)
    print(json.dumps(verify(asked["pem"], asked["envelope"])))
elif what == "relay":
    relay(pathlib.Path(sys.argv[2]), sys.argv[3])
else:
    raise SystemExit(__doc__)
