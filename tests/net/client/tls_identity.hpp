/// Certificates made on the spot, and servers that present them.
#pragma once

#include "tests/support/temp_dir.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <string>

namespace keepstore::test {

using key_ptr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using certificate_ptr = std::unique_ptr<X509, decltype(&X509_free)>;

struct identity {
    key_ptr key{EVP_EC_gen("P-256"), EVP_PKEY_free};
    certificate_ptr certificate{X509_new(), X509_free};
};

inline void extend(X509* x, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, x, nullptr, nullptr, 0);
    X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

/// A certificate signed by `issuer`, or by itself; `names` as in "DNS:a,IP:127.0.0.1"; none for an authority.
inline identity make_identity(const identity* issuer, const std::string& names, long from = -3600, long until = 3600) {
    static long serial = 0;
    identity out;
    X509* x = out.certificate.get();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), from);
    X509_gmtime_adj(X509_getm_notAfter(x), until);
    X509_set_pubkey(x, out.key.get());
    const std::string common = names.empty() ? "test authority" : "localhost";
    X509_NAME* subject = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(common.c_str()), -1,
                               -1, 0);
    X509* by = issuer ? issuer->certificate.get() : x;
    X509_set_issuer_name(x, X509_get_subject_name(by));
    if (names.empty()) {
        extend(x, by, NID_basic_constraints, "critical,CA:TRUE");
    } else {
        extend(x, by, NID_subject_alt_name, names);
    }
    X509_sign(x, issuer ? issuer->key.get() : out.key.get(), EVP_sha256());
    return out;
}

class tls_files {
  public:
    tls_files() : authority_(make_identity(nullptr, "")), ca_file((dir_.path() / "ca.pem").string()) {
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> f(std::fopen(ca_file.c_str(), "w"), std::fclose);
        PEM_write_X509(f.get(), authority_.certificate.get());
    }
    const identity& authority() const { return authority_; }

  private:
    temp_dir dir_;
    identity authority_;

  public:
    const std::string ca_file;
};

using context_ptr = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

inline context_ptr serve_as(const identity& id, int version = 0) {
    context_ptr out(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    SSL_CTX_use_certificate(out.get(), id.certificate.get());
    SSL_CTX_use_PrivateKey(out.get(), id.key.get());
    if (version) SSL_CTX_set_max_proto_version(out.get(), version);
    if (version && version < TLS1_2_VERSION) SSL_CTX_set_security_level(out.get(), 0);
    return out;
}

}  // namespace keepstore::test
