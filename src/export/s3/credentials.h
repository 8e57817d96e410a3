// SPDX-License-Identifier: Apache-2.0
// S3Credentials: the keys to sign with. They are given, or belong to a role, and then a server hands out temporary ones
// that are asked for again every ten minutes:
//   web identity (IAM roles for service accounts): the token in a file is shown to Amazon's STS, in the body of a POST
//   so that no log of addresses has it;
//   container (ECS, EKS Pod Identity): an address in the pod's environment answers.
//
// Threads: that of the io_context. Goes before it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "export/s3/aws_signature.h"
#include "net/client/http_client.h"

namespace tailgate {

struct S3CredentialsOptions {
  AwsCredentials given = {};  // empty: of a role
  // Where a role's are handed out; a path with a query, complete but for the token. Of a web identity the query is sent
  // as a form.
  HttpUrl url = {};
  HttpClientOptions client = {};
  std::string token_file = {};  // read at each time: tokens rotate
  std::string token = {};       // instead of a file
  bool web_identity = false;
};

// What a server that hands out keys has answered: STS in XML, the container's in JSON. Nothing usable: an empty key.
AwsCredentials read_credentials_reply(const std::string& body, bool web_identity);

class S3Credentials {
 public:
  using Take = std::function<void(Result<AwsCredentials>)>;

  S3Credentials(boost::asio::io_context& io, S3CredentialsOptions options);
  ~S3Credentials();

  // Calls `take` once: at once with keys that are known and fresh, else when the server has answered.
  void with(TimePoint now, Take take);
  // A question that is out ends soon.
  void cancel() { client_.cancel(); }
  // The store would not have them.
  void refused() { fresh_until_ = {}; }

 private:
  void ask();
  void answered(const Result<HttpReply>& reply);

  const S3CredentialsOptions options_;
  HttpClient client_;
  AwsCredentials known_;
  TimePoint asked_{}, fresh_until_{};
  std::vector<Take> waiting_;
};

}  // namespace tailgate
