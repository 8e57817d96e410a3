// SPDX-License-Identifier: Apache-2.0
#include "net/auth/auth.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <fstream>
#include <unordered_map>
#include <utility>

#include "base/mutex.h"
#include "config/config_node.h"
#include "net/auth/credentials.h"
#include "net/auth/keyed_digest.h"
#include "net/auth/password_checker.h"
#include "net/file_look.h"

namespace tailgate {
namespace {

constexpr std::size_t kFileMax = 1 << 20;  // read and hashed on an I/O thread when it changes

Result<std::string> read_secret_file(const std::string& file) {
  // Reads straight into memory that does not grow, so that no buffer and no earlier block keeps a copy.
  std::ifstream in;
  in.rdbuf()->pubsetbuf(nullptr, 0);
  in.open(file, std::ios::binary);
  std::string text(kFileMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  const auto size = static_cast<std::size_t>(in.gcount());
  if (in.eof() && size <= kFileMax) {
    text.resize(size);
    return text;
  }
  OPENSSL_cleanse(text.data(), text.size());
  if (size <= kFileMax) return fail(ErrorKind::kIo, fmt::format("cannot read {}", file));
  return fail(ErrorKind::kConfig, fmt::format("{}: expected at most 1 MiB", file));
}

using Digests = std::unordered_map<Digest, std::string, DigestHash, DigestEqual>;

// What the files say. Never changes once it is made.
struct Secrets {
  Digests tokens;  // digest of the token -> its name
};

using ParseSecrets = Result<std::vector<Secret>> (*)(std::string_view);
Result<std::vector<Secret>> read_secrets(const std::string& file, ParseSecrets parse) {
  Result<std::string> text = read_secret_file(file);
  if (!text) return tl::unexpected(text.error());
  Result<std::vector<Secret>> secrets = parse(*text);
  OPENSSL_cleanse(text->data(), text->size());
  if (!secrets) return fail(secrets.error().kind, file + ": " + secrets.error().text);
  return secrets;
}

}  // namespace

struct Authenticator::Impl {
  Impl(const AuthOptions& o, Notice n)
      : options(o), notice(std::move(n)), look({o.bearer_tokens_file, o.htpasswd_file}, o.reload_interval) {}

  // Reads the files and puts them in force, or leaves everything as it is.
  Result<void> read() {
    auto fresh = std::make_shared<Secrets>();
    if (!options.bearer_tokens_file.empty()) {
      Result<std::vector<Secret>> tokens = read_secrets(options.bearer_tokens_file, parse_bearer_tokens);
      if (!tokens) return tl::unexpected(tokens.error());
      for (Secret& token : *tokens) {
        fresh->tokens.emplace(key.of(token.text), token.name);
        OPENSSL_cleanse(token.text.data(), token.text.size());
      }
    }
    if (!options.htpasswd_file.empty()) {
      Result<std::vector<Secret>> users = read_secrets(options.htpasswd_file, parse_htpasswd);
      if (!users) return tl::unexpected(users.error());
      passwords->set_users(std::move(*users));
    }
    const MutexLock lock(mutex);
    secrets = std::move(fresh);
    return {};
  }

  const AuthOptions options;
  const Notice notice;
  const DigestKey key;
  std::unique_ptr<PasswordChecker> passwords;  // null: no htpasswd_file
  FileLook look;
  Mutex mutex;
  std::shared_ptr<const Secrets> secrets TAILGATE_GUARDED_BY(mutex);
};

Authenticator::Authenticator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Authenticator::~Authenticator() = default;

Result<std::shared_ptr<Authenticator>> Authenticator::load(const AuthOptions& options, Notice notice) {
  auto impl = std::make_unique<Impl>(options, std::move(notice));
  if (!options.htpasswd_file.empty()) impl->passwords = std::make_unique<PasswordChecker>();
  if (Result<void> read = impl->look.start([&] { return impl->read(); }); !read) return tl::unexpected(read.error());
  return std::shared_ptr<Authenticator>(new Authenticator(std::move(impl)));
}

AuthVerdict Authenticator::check(std::string_view header, std::string_view client, std::string& identity) {
  const Authorization given = parse_authorization(header);
  if (given.scheme == AuthScheme::kBasic && impl_->passwords != nullptr) {
    return impl_->passwords->check(impl_->key.of(given.credentials), given.credentials, client, identity);
  }
  if (given.scheme != AuthScheme::kBearer || impl_->options.bearer_tokens_file.empty()) return AuthVerdict::kMissing;
  std::shared_ptr<const Secrets> secrets;
  {
    const MutexLock lock(impl_->mutex);
    secrets = impl_->secrets;
  }
  const auto it = secrets->tokens.find(impl_->key.of(given.credentials));
  if (it == secrets->tokens.end()) return AuthVerdict::kWrong;
  identity = it->second;
  return AuthVerdict::kPassed;
}

std::string Authenticator::challenge() const {
  std::string out;
  if (!impl_->options.bearer_tokens_file.empty()) out = "Bearer realm=\"tailgate\"";
  if (impl_->passwords != nullptr) out += std::string(out.empty() ? "" : ", ") + "Basic realm=\"tailgate\"";
  return out;
}

void Authenticator::refresh(TimePoint now) {
  const auto news = impl_->look.refresh(now, [this] { return impl_->read(); });
  if (!news || !impl_->notice) return;
  if (*news) {
    impl_->notice(fmt::format("credentials loaded again: {}{}{}", impl_->options.bearer_tokens_file,
                              impl_->passwords != nullptr && !impl_->options.bearer_tokens_file.empty() ? ", " : "",
                              impl_->options.htpasswd_file));
  } else {
    impl_->notice(
        fmt::format("the changed credentials are not used, those before stay in force: {}", news->error().text));
  }
}

std::optional<AuthOptions> read_server_auth(const ConfigNode& node) {
  if (node.is_null()) return std::nullopt;
  AuthOptions out;
  if (node.has("authenticator")) {
    node.error("expected bearer_tokens_file or htpasswd_file here, there are no extensions to name as authenticator");
    return std::nullopt;
  }
  out.bearer_tokens_file = node.text("bearer_tokens_file");
  out.htpasswd_file = node.text("htpasswd_file");
  out.reload_interval = node.duration("reload_interval", out.reload_interval, std::chrono::milliseconds(10));
  node.finish();
  if (out.bearer_tokens_file.empty() && out.htpasswd_file.empty()) {
    node.error("expected bearer_tokens_file, htpasswd_file or both");
    return std::nullopt;
  }
  const auto loaded = Authenticator::load(out, {});
  if (!loaded) node.error(fmt::format("expected files with credentials that load ({})", loaded.error().text));
  return out;
}

}  // namespace tailgate
