package metrics

// help explains each number, and lists those that the page shows. The numbers of
// the process and of the Go runtime have the names that all servers in Go give
// them.
var help = map[string]string{
	"qhubctl_build_info":                  "The program that serves.",
	"qhubctl_executions_accepted_total":   "Executions that were accepted; a request repeated under its idempotency key counts once.",
	"qhubctl_requests_refused_total":      "Requests for an execution that were refused, by the cause.",
	"qhubctl_executions_started_total":    "Executions that became RUNNING.",
	"qhubctl_executions_ended_total":      "Executions that this server has ended, by their final state.",
	"qhubctl_executions_pending":          "Executions that wait for a slot, in all servers that share the data.",
	"qhubctl_executions_running":          "Executions that start or run, in all servers that share the data.",
	"qhubctl_execution_slots":             "Executions that this server can run at once.",
	"qhubctl_execution_wait_seconds":      "From the acceptance of an execution to its start.",
	"qhubctl_execution_run_seconds":       "From the start of an execution to its end, with the collection of its result.",
	"qhubctl_execution_starts_total":      "Processes that were started for executions: forks, or cold by the cause.",
	"qhubctl_forks_total":                 "Forks that executions began in, by whether a spare was ready or one had to be made first.",
	"qhubctl_templates":                   "Zygotes that are kept to be forked.",
	"qhubctl_template_memory_bytes":       "Memory of the zygotes.",
	"qhubctl_templates_started_total":     "Zygotes that became ready.",
	"qhubctl_templates_ended_total":       "Zygotes that the server ended before their service changed, by the cause.",
	"qhubctl_template_failures_total":     "Zygotes that died, made no forks, or never became ready.",
	"qhubctl_service_start_info":          "How the service starts now: warm, preparing while its zygote is not ready, or cold, and why.",
	"qhubctl_result_files_withheld_total": "Result files that the server withheld, because they hold a secret that cannot be masked.",
	"qhubctl_store_commit_seconds":        "Commits of the store, with the sync of the disk; one commit serves several callers.",

	"go_info":                       "The version of Go.",
	"go_goroutines":                 "Goroutines.",
	"go_threads":                    "Threads that the program has created.",
	"go_gc_duration_seconds":        "How long garbage collections stop the program.",
	"go_memstats_alloc_bytes_total": "Memory that was allocated.",
	"go_memstats_heap_alloc_bytes":  "Memory that is allocated and not collected.",
	"go_memstats_heap_inuse_bytes":  "Memory in use by the heap.",
	"go_memstats_heap_objects":      "Objects that are allocated and not collected.",
	"go_memstats_next_gc_bytes":     "The heap at which the next garbage collection begins.",
	"go_memstats_sys_bytes":         "Memory that was got from the system.",
	"process_cpu_seconds_total":     "Processor time of the server, without its executions.",
	"process_open_fds":              "Files that the server has open.",
	"process_max_fds":               "Files that the server may have open.",
	"process_resident_memory_bytes": "Memory of the server, without its executions.",
	"process_virtual_memory_bytes":  "Address space of the server.",
	"process_start_time_seconds":    "When the server started, since 1970.",
}
