// SPDX-License-Identifier: Apache-2.0
// Authenticator: who may send to one endpoint. Bearer tokens and bcrypt passwords from files that may change.
//
//   check(header)  ─ token ────→ keyed digest looked up                                      passed / wrong, < 2 us
//                  ─ password ─→ keyed digest known: as it was found before                  passed / wrong, < 2 us
//                                unknown: bcrypt on a thread of its own ("checking"), the request waits
//
// A secret is compared by its HMAC under a key of this process, so the time of a comparison says nothing about it. The
// work that strangers can cause on the bcrypt thread is bounded: the queue has 16 places, one client gets two of them,
// failures are remembered, and after a failure the thread rests three times as long as the check took (a quarter of one
// core at most). A sender that gets no place is asked to try again. Threads: any; a lock per request.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/tls/tls.h"

namespace tailgate {

class ConfigNode;

struct AuthOptions {
  std::string bearer_tokens_file;
  std::string htpasswd_file;
  Duration reload_interval = std::chrono::seconds(10);
};

// Reads an endpoint's `auth:` map (docs/receivers.md). Empty when there is none.
std::optional<AuthOptions> read_server_auth(const ConfigNode& node);

enum class AuthVerdict {
  kPassed,
  kMissing,   // no Authorization header of a known scheme
  kWrong,     // the credentials are not right
  kChecking,  // ask again in a moment
  kBusy,      // too many are being checked; the sender should try again
};

class Authenticator {
 public:
  using Notice = TlsContext::Notice;

  // Errors: kIo when a file cannot be read, kConfig when its content is wrong.
  static Result<std::shared_ptr<Authenticator>> load(const AuthOptions& options, Notice notice);
  ~Authenticator();

  // `client` is where the request comes from. With kPassed, `identity` becomes the owner of the credentials.
  AuthVerdict check(std::string_view authorization, std::string_view client, std::string& identity);

  // The WWW-Authenticate header of a 401.
  std::string challenge() const;

  // Looks at the files if reload_interval has passed since the last look. Cheap.
  void refresh(TimePoint now);

 private:
  struct Impl;
  explicit Authenticator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailgate
