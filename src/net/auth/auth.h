// Authenticator: who may send to one endpoint. Bearer tokens and bcrypt passwords from files that may change.
//
//   check(header)  ─ token ────→ keyed digest looked up                                      passed / wrong, < 2 us
//                  ─ password ─→ keyed digest known: as it was found before                  passed / wrong, < 2 us
//                                unknown: bcrypt on a thread of its own ("checking"), the request waits
//
// A secret is compared by its HMAC under a key of this process, so that the time a comparison takes says nothing about
// it. What strangers can make the bcrypt thread do is bounded: a queue of 16, two of them for one client, failures are
// remembered, and after a failure it rests three times as long as it took (a quarter of one core at most). Whose turn
// does not come is told to try again. Threads: any; a lock per request.
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
  kMissing,   // no Authorization of a kind that is known here
  kWrong,     // the credentials are not right
  kChecking,  // ask again in a moment
  kBusy,      // too many are being checked: to be tried again by the sender
};

class Authenticator {
 public:
  using Notice = TlsContext::Notice;

  // Errors: kIo when a file cannot be read, kConfig when its content does not do.
  static Result<std::shared_ptr<Authenticator>> load(const AuthOptions& options, Notice notice);
  ~Authenticator();

  // `client`: where the request comes from. kPassed: `identity` is whose credentials they are.
  AuthVerdict check(std::string_view authorization, std::string_view client, std::string& identity);

  // Of a 401: WWW-Authenticate.
  std::string challenge() const;

  // Looks at the files if reload_interval has gone by since it last did. Cheap.
  void refresh(TimePoint now);

 private:
  struct Impl;
  explicit Authenticator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailgate
