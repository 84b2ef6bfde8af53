"""Names that services, the runtime and the platform agree on."""

LOG_LEVEL_ENV = "LOG_LEVEL"
DEFAULT_LOG_LEVEL = "INFO"

ENTRYPOINT_ENV = "ENTRYPOINT"
DEFAULT_ENTRYPOINT = "user_code.src.program:run"

INPUT_DIRECTORY_ENV = "INPUT_DIRECTORY"
DEFAULT_INPUT_DIRECTORY = "/var/runtime/input"

OUTPUT_DIRECTORY_ENV = "OUTPUT_DIRECTORY"
DEFAULT_OUTPUT_DIRECTORY = "/var/runtime/output"

DATAPOOL_DIRECTORY_ENV = "DATAPOOL_DIRECTORY"
DEFAULT_DATAPOOL_DIRECTORY = "/var/runtime/datapool"

WORKSPACE_ENV = "WORKSPACE"
DEFAULT_WORKSPACE = "./user_code"

# The variable of a secret is this prefix and the parameter's name in UPPER_SNAKE.
SECRET_ENV_VAR_PREFIX = "SECRET_"

# By it an execution calls other services. It stays in the environment, and is a secret nevertheless.
EXECUTION_TOKEN_ENV = "KQH_SERVICE_EXECUTION_TOKEN"

# A secret is a token or a file of keys; a longer value is a mistake.
MAX_SECRET_SIZE = 64 * 1024

# Keys of a request body other than parameters.
SECRETS_PROPERTY_NAME = "$secrets"
TAGS_PROPERTY_NAME = "$tags"

# Set to REQUEST where the input files were made of a request, so that each holds the JSON that the caller sent.
INPUT_SOURCE_ENV = "QHUBCTL_INPUT_SOURCE"
REQUEST = "request"
