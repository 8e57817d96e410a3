// SPDX-License-Identifier: Apache-2.0
// PasswordChecker: bcrypt, once per credential and off the I/O threads (auth.h has the limits and why).
//
// Results are kept under the digest of the credentials: the right ones of each user until the user's hash changes (one
// hash has one password here, see parse_basic), and 1,024 wrong ones until any user changes. The thread starts with the
// first unknown password. Threads: any.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/mutex.h"
#include "net/auth/auth.h"
#include "net/auth/credentials.h"
#include "net/auth/keyed_digest.h"

namespace tailgate {

// The hashes of the users that may send.
struct PasswordUsers {
  std::unordered_map<std::string, std::string> hashes;  // by name
  std::string costliest;                                // of the hashes

  // What a password of `name` is checked against. An unknown name costs as much as the costliest known one; otherwise
  // the time would reveal which names exist.
  const std::string& hash_for(const std::string& name) const;
};
PasswordUsers password_users(std::vector<Secret> users);

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
  using Users = PasswordUsers;
  struct Job {
    Digest digest;
    UserPassword given;
    std::string client;
  };

  void run();
  // The next job and the users to check it against; false when the checker ends.
  bool next(Job& job, std::shared_ptr<const Users>& users);
  // What came of it. A wrong password rests the thread for some times what it took.
  void done(const Job& job, const std::shared_ptr<const Users>& users, bool right, Duration took);

  using DigestSet = std::unordered_set<Digest, DigestHash, DigestEqual>;
  Mutex mutex_;
  CondVar wake_;
  std::shared_ptr<const Users> users_ TAILGATE_GUARDED_BY(mutex_);
  std::unordered_map<Digest, std::string, DigestHash, DigestEqual> right_ TAILGATE_GUARDED_BY(mutex_);  // -> user
  DigestSet wrong_ TAILGATE_GUARDED_BY(mutex_);
  DigestSet pending_ TAILGATE_GUARDED_BY(mutex_);  // of jobs_ and the one being checked
  std::deque<Job> jobs_ TAILGATE_GUARDED_BY(mutex_);
  bool stop_ TAILGATE_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // begun under the lock, by the first check
};

}  // namespace tailgate
