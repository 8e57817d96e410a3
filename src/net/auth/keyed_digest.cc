// SPDX-License-Identifier: Apache-2.0
#include "net/auth/keyed_digest.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/invariant.h"

namespace tailgate {
namespace {

// Made once per thread: to look an algorithm up costs more than the digest.
struct Hmac {
  Hmac() : mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr)), context(EVP_MAC_CTX_new(mac)) {
    INVARIANT(context != nullptr);
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                     OSSL_PARAM_construct_end()};
    INVARIANT(EVP_MAC_CTX_set_params(context, parameters) == 1);
  }
  ~Hmac() {
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
  }
  Hmac(const Hmac&) = delete;
  Hmac& operator=(const Hmac&) = delete;

  EVP_MAC* mac;
  EVP_MAC_CTX* context;
};

}  // namespace

bool DigestEqual::operator()(const Digest& a, const Digest& b) const {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

DigestKey::DigestKey() : key_{} { INVARIANT(RAND_bytes(key_.data(), static_cast<int>(key_.size())) == 1); }
DigestKey::~DigestKey() { OPENSSL_cleanse(key_.data(), key_.size()); }

Digest DigestKey::of(std::string_view text) const {
  thread_local Hmac hmac;
  Digest out{};
  std::size_t size = 0;
  INVARIANT(EVP_MAC_init(hmac.context, key_.data(), key_.size(), nullptr) == 1 &&
            EVP_MAC_update(hmac.context, reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1 &&
            EVP_MAC_final(hmac.context, out.data(), &size, out.size()) == 1 && size == out.size());
  return out;
}

}  // namespace tailgate
