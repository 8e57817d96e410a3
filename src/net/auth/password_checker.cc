// SPDX-License-Identifier: Apache-2.0
#include "net/auth/password_checker.h"

#include "base/clock.h"

#include <crypt.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <chrono>

namespace tailgate {
namespace {

constexpr std::size_t kQueue = 16;
constexpr std::ptrdiff_t kQueueOfClient = 2;
constexpr std::size_t kWrongMax = 1024;
constexpr int kRest = 3;  // times what a failure took

bool matches(const std::string& password, const std::string& hash) {
  const auto data = std::make_unique<crypt_data>();  // 32 KiB
  const char* const made = crypt_r(password.c_str(), hash.c_str(), data.get());
  const bool same = made != nullptr && std::string_view(made).size() == hash.size() &&
                    CRYPTO_memcmp(made, hash.data(), hash.size()) == 0;
  OPENSSL_cleanse(data.get(), sizeof *data);
  return same;
}

// The two digits of the hash's cost, which sort as numbers do: $2y$10$...
std::string_view cost_of(std::string_view hash) { return hash.size() < 6 ? std::string_view() : hash.substr(4, 2); }

}  // namespace

PasswordChecker::~PasswordChecker() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void PasswordChecker::set_users(std::vector<Secret> users) {
  auto fresh = std::make_shared<const Users>(password_users(std::move(users)));
  const MutexLock lock(mutex_);
  if (users_ != nullptr && users_->hashes == fresh->hashes) return;
  // Users that did not change keep their results; otherwise each change would send all of them to bcrypt at once.
  std::erase_if(right_, [&fresh, before = users_.get()](const auto& entry) {
    const auto now = fresh->hashes.find(entry.second);
    return now == fresh->hashes.end() || now->second != before->hashes.at(entry.second);
  });
  wrong_.clear();
  users_ = std::move(fresh);
}

AuthVerdict PasswordChecker::check(const Digest& digest, std::string_view base64, std::string_view client,
                                   std::string& identity) {
  const MutexLock lock(mutex_);
  if (const auto it = right_.find(digest); it != right_.end()) {
    identity = it->second;
    return AuthVerdict::kPassed;
  }
  if (wrong_.contains(digest)) return AuthVerdict::kWrong;
  if (pending_.contains(digest)) return AuthVerdict::kChecking;
  std::optional<UserPassword> given = parse_basic(base64);
  if (!given) return AuthVerdict::kWrong;
  const auto of_client =
      std::count_if(jobs_.begin(), jobs_.end(), [&](const Job& job) { return job.client == client; });
  if (jobs_.size() >= kQueue || of_client >= kQueueOfClient) return AuthVerdict::kBusy;
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  jobs_.push_back({digest, std::move(*given), std::string(client)});
  pending_.insert(digest);
  wake_.notify_all();
  return AuthVerdict::kChecking;
}

bool PasswordChecker::next(Job& job, std::shared_ptr<const Users>& users) {
  const MutexLock lock(mutex_);
  while (!stop_ && jobs_.empty()) wake_.wait(mutex_);
  if (stop_) return false;
  job = std::move(jobs_.front());
  jobs_.pop_front();
  users = users_;
  return true;
}

void PasswordChecker::run() {
  Job job;
  std::shared_ptr<const Users> users;
  while (next(job, users)) {
    const TimePoint began = monotonic_now();
    const bool right =
        matches(job.given.password, users->hash_for(job.given.user)) && users->hashes.contains(job.given.user);
    OPENSSL_cleanse(job.given.password.data(), job.given.password.size());
    done(job, users, right, monotonic_now() - began);
    job = {};
    users.reset();  // hashes that a reload replaced must not outlive it here
  }
}

void PasswordChecker::done(const Job& job, const std::shared_ptr<const Users>& users, bool right, Duration took) {
  const MutexLock lock(mutex_);
  pending_.erase(job.digest);
  if (users == users_) {  // otherwise the request asks again
    if (right) {
      right_.emplace(job.digest, job.given.user);
    } else {
      if (wrong_.size() >= kWrongMax) wrong_.clear();
      wrong_.insert(job.digest);
    }
  }
  if (right) return;
  const TimePoint until = monotonic_now() + kRest * took;
  while (!stop_ && wake_.wait_until(mutex_, until)) {
  }
}

const std::string& PasswordUsers::hash_for(const std::string& name) const {
  const auto user = hashes.find(name);
  return user != hashes.end() ? user->second : costliest;
}

PasswordUsers password_users(std::vector<Secret> users) {
  PasswordUsers out;
  for (Secret& user : users) {
    if (cost_of(user.text) > cost_of(out.costliest)) out.costliest = user.text;
    out.hashes.emplace(std::move(user.name), std::move(user.text));
  }
  return out;
}

}  // namespace tailgate
