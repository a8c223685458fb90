"""keepctl clone: keys and certificates of either side, and what they do not allow."""

import os

from support.case import main
from support.clone_case import OUTCOMES, CloneCase


class Keys(CloneCase):
    def test_keys_that_are_wrong_or_expired(self):
        self.fill(2, 10)
        done = self.clone(env={"AWS_SECRET_ACCESS_KEY": "SECRETCANARY"})
        self.assertEqual(done.code, 3, done)
        self.assertNotIn("SECRETCANARY", done.stderr)
        for side in "source", "target":
            proxy = self.fault_proxy()
            proxy.add("expired_token")
            done = self.clone(**{side: self.place(self.bucket if side == "source" else self.target, proxy.endpoint)})
            self.assertEqual(done.code, 3, done)
            self.assertIn("expired", done.stderr)
        done = self.clone(target=self.place("no-such-bucket-at-all"))
        self.assertEqual(done.code, 3, done)
        self.assertIn("NoSuchBucket", done.stderr)

    def test_keys_of_one_side(self):
        self.fill(2, 10)
        path = os.path.join(self.dir.path, "credentials")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"[right]\naws_access_key_id = {self.server['access_key']}\naws_secret_access_key = "
                       f"{self.server['secret_key']}\n[wrong]\naws_access_key_id = {self.server['access_key']}\n"
                       "aws_secret_access_key = SECRETCANARY\n")
        for wrong in "source", "target":
            ends = {side: self.place(bucket, profile="wrong" if side == wrong else "right")
                    for side, bucket in (("source", self.bucket), ("target", self.target))}
            done = self.clone(env={"AWS_SHARED_CREDENTIALS_FILE": path}, **ends)
            self.assertEqual(done.code, 3, done)
            self.assertIn(ends[wrong].split("?")[0], done.stderr)
            self.assertNotIn("SECRETCANARY", done.stderr)
        self.assertEqual(self.s3.list(self.target), {})

    def test_a_destination_that_may_not_be_written(self):
        blocks = self.fill(40, 100)
        for mode, written in (("server-side", "copy"), ("stream", "put"), ("auto", ["copy", "put"])):
            proxy = self.fault_proxy()
            proxy.add("status", status=403, code="AccessDenied", operation=written)
            done = self.clone("--mode", mode, "--jobs", "4", **self.through(proxy))
            self.assertEqual(done.code, 3, done)
            self.assertIn("ended early", done.stderr)
            self.assertLessEqual(done.summary["failed"], 4, "not block by block")
            self.assertLessEqual(proxy.fired()[0], 10)
            self.assertEqual(self.s3.list(self.target), {})
        proxy.rules()
        self.assertEqual(self.clone(**self.through(proxy)).code, 0)
        self.assert_target(blocks)

    def test_keys_that_end_in_the_middle(self):
        blocks = self.fill(40, 100)
        proxy = self.fault_proxy()
        proxy.add("status", status=403, code="InvalidAccessKeyId", operation="copy", skip=20)
        done = self.clone(**self.through(proxy))
        self.assertEqual(done.code, 6, done)
        self.assertIn("ended early", done.stderr)
        self.assertIn("to go on", done.stderr)
        self.assertEqual(done.summary["listed"], sum(done.summary[k] for k in OUTCOMES))
        proxy.rules()
        self.assertEqual(self.clone(**self.through(proxy)).code, 0)
        self.assert_target(blocks)

    def test_certificates(self):
        if "tls_endpoint" not in self.server:
            self.skipTest("the S3 server has no TLS")
        blocks = self.fill(2, 10)
        secure, trusted = self.server["tls_endpoint"], {"ca-file": self.server["ca_file"]}
        for ends in ({"source": self.place(self.bucket, secure)}, {"target": self.place(self.target, secure)}):
            done = self.clone(**ends)
            self.assertEqual(done.code, 3, done)
            self.assertIn("ertificate", done.stderr)
        done = self.clone(source=self.place(self.bucket, secure, **trusted), target=self.place(self.target, secure, **trusted))
        self.assert_counts(done, copied=len(blocks), mode="server-side")

    def test_two_accounts(self):
        blocks = self.fill(3, 10)
        path = os.path.join(self.dir.path, "credentials")
        with open(path, "w", encoding="ascii") as file:
            for name in "from", "to":
                file.write(f"[{name}]\naws_access_key_id = {self.server['access_key']}\n"
                           f"aws_secret_access_key = {self.server['secret_key']}\n")
        done = self.clone(source=self.place(self.bucket, profile="from"), target=self.place(self.target, profile="to"),
                          env={"AWS_SHARED_CREDENTIALS_FILE": path, "AWS_ACCESS_KEY_ID": "WRONG"})
        self.assert_counts(done, copied=len(blocks))


if __name__ == "__main__":
    main()
