#include "daemon/cli.h"

namespace tailgate {

int run_cli(int, char**) { return 2; }

}  // namespace tailgate
