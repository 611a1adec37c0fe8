package sandbox

import "time"

// Config describes a sandbox.
type Config struct {
	Hostname string
	// Address is the IPv4 address of the pod, in 10.0.0.0/8. Only its own processes
	// and Dial meet it, so that other sandboxes may have the same.
	Address string
	// Uplink is the path of a Unix socket. Each connection out of the sandbox is
	// one to there, which begins with a line that has the name that Reach gives.
	Uplink string
	// Downlink is the path where the sandbox listens for connections into it.
	Downlink string
	// Reach has for each address that the pod can reach, as "10.0.0.1:443", the name
	// of what is there. There is nothing else to reach.
	Reach map[string]string
}

// Container describes a process and what it sees.
type Container struct {
	// Name tells it from the others that run in its sandbox.
	Name string
	// Args are the program, as a path inside, and its arguments.
	Args []string
	Env  []string
	// Dir is the directory to start in; "" is the root.
	Dir string
	// Log is the path outside of the file that both output streams are appended to.
	Log string
	// Root is an empty directory outside; the root file system is mounted there,
	// where only the container sees it.
	Root string
	// ReadOnly is that the root file system cannot be written to.
	ReadOnly bool
	// Mounts are what is in the root file system beside devices and /proc.
	Mounts []Mount
	// User and Group are what it runs as, and Groups are more of them. They need
	// root; otherwise all run as the user that we are.
	User, Group int
	Groups      []int
}

// Mount shows a file or a directory of the host inside.
type Mount struct {
	Source, Target string
	ReadOnly       bool
}

// Exit is how a process ended.
type Exit struct {
	// Code is the exit status; 0 if Signal is not.
	Code int
	// Signal is the number of the signal that ended it, or 0.
	Signal int
	// CPU is what it used, in user and system mode, with its children.
	CPU time.Duration
	At  time.Time
}

// request is what pause is asked: the first time for a sandbox, from then on for
// containers.
type request struct {
	Pod   *Config    `json:",omitempty"`
	Start *Container `json:",omitempty"`
}

// reply is what pause says. Without a name it answers the request for a sandbox.
type reply struct {
	Name string `json:",omitempty"`
	// PID is of the process that started. It is the host's number.
	PID  int    `json:",omitempty"`
	Err  string `json:",omitempty"`
	Exit *Exit  `json:",omitempty"`
}
