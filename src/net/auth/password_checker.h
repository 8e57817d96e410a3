// PasswordChecker: bcrypt, once per credential and off the I/O threads (auth.h has the limits and why).
//
// Results are kept under the digest of the credentials: the right ones of each user until the user's hash changes (one
// hash has one password here, see parse_basic), and 1,024 wrong ones until any user changes. The thread starts with the
// first unknown password. Threads: any.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "net/auth/auth.h"
#include "net/auth/credentials.h"
#include "net/auth/keyed_digest.h"

namespace tailgate {

class PasswordChecker {
 public:
  PasswordChecker() = default;
  ~PasswordChecker();
  PasswordChecker(const PasswordChecker&) = delete;
  PasswordChecker& operator=(const PasswordChecker&) = delete;

  // `users` has at least one.
  void set_users(std::vector<Secret> users);

  // `digest` is that of `base64`, the credentials as they came.
  AuthVerdict check(const Digest& digest, std::string_view base64, std::string_view client, std::string& identity);

 private:
  struct Users {
    std::unordered_map<std::string, std::string> hashes;  // by name
    std::string costliest;                                // of the hashes
  };
  struct Job {
    Digest digest;
    UserPassword given;
    std::string client;
  };

  void run();

  std::mutex mutex_;  // guards the rest
  std::condition_variable wake_;
  std::shared_ptr<const Users> users_;
  std::unordered_map<Digest, std::string, DigestHash, DigestEqual> right_;  // -> user
  std::unordered_set<Digest, DigestHash, DigestEqual> wrong_;
  std::unordered_set<Digest, DigestHash, DigestEqual> pending_;  // of jobs_ and the one being checked
  std::deque<Job> jobs_;
  std::thread thread_;
  bool stop_ = false;
};

}  // namespace tailgate
