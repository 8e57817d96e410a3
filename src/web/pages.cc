#include "web/pages.h"

namespace tailgate {

Admission Pages::admit(const RequestHead& head) {
  Admission admission;
  admission.body_bytes_max = 0;
  if (!pages_.contains(head.path())) {
    std::string known;
    for (const auto& [path, page] : pages_) known += (known.empty() ? "" : ", ") + path;
    admission.refusal = plain_response(404, "not found; here are " + known);
  } else if (head.method != "GET" && head.method != "HEAD") {
    admission.refusal = plain_response(405, "want GET");
    admission.refusal->headers.emplace_back("allow", "GET, HEAD");
  }
  return admission;
}

void Pages::handle(const RequestHead& head, BodyBuffer&, Response& response) { response = pages_.find(head.path())->second(); }

Response Pages::refuse(const RequestHead&, BodyError) { return plain_response(413, "want no body"); }

}  // namespace tailgate
