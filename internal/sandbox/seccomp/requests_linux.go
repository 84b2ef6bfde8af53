package seccomp

import "golang.org/x/sys/unix"

// The rules of calls that take a request of many. Each allows a list, so that
// requests of newer kernels are refused.

// fcntl allows descriptors, locks, pipes and seals. It refuses F_SETLEASE and
// F_SETDELEG, which make others wait when they open a file; F_NOTIFY; and F_SETOWN,
// F_SETOWN_EX and F_SETSIG, which send signals to others.
func fcntl(Profile) []clause {
	const (
		dupQuery     = 1024 + 3
		createdQuery = 1024 + 4
	)
	return []clause{
		allowIf(is(1,
			unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL, unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, dupQuery, createdQuery,
			unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW,
			unix.F_SETPIPE_SZ, unix.F_GETPIPE_SZ, unix.F_ADD_SEALS, unix.F_GET_SEALS,
			unix.F_GET_RW_HINT, unix.F_SET_RW_HINT, unix.F_GET_FILE_RW_HINT, unix.F_SET_FILE_RW_HINT,
			unix.F_GETOWN, unix.F_GETSIG)),
		otherwise(Refuse(unix.EPERM)),
	}
}

// ioctl allows terminals, sockets, and the requests that programs make of files. The
// filter answers others as a file system does that lacks them. Some of those reserve
// space (FS_IOC_RESVSP and similar), share or compare extents (FICLONE,
// FIDEDUPERANGE), or change attributes, of which some reserve space. Requests of
// devices are answered in the same way.
func ioctl(p Profile) []clause {
	const (
		typeMask, sizeMask = 0xff00, 0xffff0000
		terminals, sockets = 'T' << 8, 0x89 << 8

		fiosetown, siocspgrp = 0x8901, 0x8902
		fioasync             = 0x5452

		figetbsz          = 0x2
		fiemap            = 0xc020660b
		getVersion        = 0x80087601
		getUUID           = 0x80111500
		measureVerity     = 0xc0046686
		getFSXAttributes  = 0x801c581f
		randomEntropy     = 0x80045200
		getPtyNumber      = 0x80045430
		lockPty           = 0x40045431
		getPtyLock        = 0x80045439
		getPtyDevice      = 0x80045432
		getExclusive      = 0x80045440
		signalPty         = 0x40045436
		getTerminal2      = 0x802c542a
		setTerminal2      = 0x402c542b
		setTerminalWait2  = 0x402c542c
		setTerminalFlush2 = 0x402c542d
	)
	return []clause{
		// Signals to others, keys typed for others, the console, and line
		// disciplines, which are code in the kernel.
		refuseIf(unix.EPERM, is(1, fiosetown, siocspgrp, fioasync, unix.TIOCSTI, unix.TIOCLINUX, unix.TIOCCONS, unix.TIOCSETD)),
		allowIf(masked(1, typeMask|sizeMask, terminals, sockets)),
		allowIf(is(1,
			figetbsz, fiemap, unix.FS_IOC_GETFLAGS, getVersion, getUUID, measureVerity, getFSXAttributes, randomEntropy,
			getPtyNumber, lockPty, getPtyLock, getPtyDevice, getExclusive, signalPty,
			getTerminal2, setTerminal2, setTerminalWait2, setTerminalFlush2)),
		allowIf(masked(1, typeMask, gpuRequests(p)...)),
		refuseIf(unix.EOPNOTSUPP, is(1, unix.FICLONE, unix.FICLONERANGE, unix.FIDEDUPERANGE)),
		otherwise(Refuse(unix.ENOTTY)),
	}
}

// gpuRequests are the types of requests to the drivers of GPUs: of NVIDIA, of the
// kernel's direct rendering, and of AMD. Without a GPU it is a type of no driver.
func gpuRequests(p Profile) []uint32 {
	if p.GPU {
		return []uint32{'F' << 8, 'd' << 8, 'K' << 8}
	}
	return []uint32{0xff << 8}
}

// prctl allows options about the caller itself. It refuses PR_SCHED_CORE, which
// keeps others from the second half of a core; PR_SET_PTRACER; PR_SET_MM;
// PR_SET_MEMORY_MERGE, like MADV_MERGEABLE; PR_SET_IO_FLUSHER; the registers of
// dispatch; and options that no everyday program uses. It answers like a kernel
// that lacks them.
func prctl(Profile) []clause {
	const (
		prFutexHash = 78
		prGetAuxv   = 0x41555856
	)
	return []clause{
		allowIf(is(0,
			unix.PR_SET_NAME, unix.PR_GET_NAME, unix.PR_SET_VMA, prGetAuxv, unix.PR_SET_PDEATHSIG, unix.PR_GET_PDEATHSIG,
			unix.PR_SET_DUMPABLE, unix.PR_GET_DUMPABLE, unix.PR_SET_KEEPCAPS, unix.PR_GET_KEEPCAPS,
			unix.PR_SET_SECCOMP, unix.PR_GET_SECCOMP, unix.PR_SET_NO_NEW_PRIVS, unix.PR_GET_NO_NEW_PRIVS,
			unix.PR_CAPBSET_READ, unix.PR_CAPBSET_DROP, unix.PR_CAP_AMBIENT, unix.PR_SET_SECUREBITS, unix.PR_GET_SECUREBITS,
			unix.PR_SET_TIMERSLACK, unix.PR_GET_TIMERSLACK, unix.PR_SET_TIMING, unix.PR_GET_TIMING,
			unix.PR_SET_CHILD_SUBREAPER, unix.PR_GET_CHILD_SUBREAPER, unix.PR_GET_TID_ADDRESS,
			unix.PR_SET_THP_DISABLE, unix.PR_GET_THP_DISABLE, unix.PR_SET_TSC, unix.PR_GET_TSC,
			unix.PR_GET_SPECULATION_CTRL, unix.PR_SET_SPECULATION_CTRL, unix.PR_SET_MDWE, unix.PR_GET_MDWE, prFutexHash,
			// Of arm64.
			unix.PR_SVE_SET_VL, unix.PR_SVE_GET_VL, unix.PR_SME_SET_VL, unix.PR_SME_GET_VL, unix.PR_PAC_RESET_KEYS,
			unix.PR_PAC_SET_ENABLED_KEYS, unix.PR_PAC_GET_ENABLED_KEYS, unix.PR_SET_TAGGED_ADDR_CTRL, unix.PR_GET_TAGGED_ADDR_CTRL)),
		otherwise(Refuse(unix.EINVAL)),
	}
}
