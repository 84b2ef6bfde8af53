#include "textflag.h"

DATA multiplier<>+0(SB)/8, $0x9e3779b97f4a7c15
GLOBL multiplier<>(SB), RODATA|NOPTR, $8

#define SAMPLE(address, hash, word) \
	MOVQ address, hash    \
	ANDQ R11, hash        \
	IMULQ R12, hash       \
	MOVQ hash, word       \
	SHRQ $32, word        \
	ANDQ R10, word        \
	MOVQ (DI)(word*8), word \
	SHRQ $58, hash        \
	BTQ hash, word

// func sample(text *byte, at, last, stride int, bitmap *uint64, words, mask uint64) int
TEXT ·sample(SB), NOSPLIT, $0-64
	MOVQ text+0(FP), SI
	MOVQ at+8(FP), CX
	MOVQ last+16(FP), DX
	MOVQ stride+24(FP), R8
	MOVQ bitmap+32(FP), DI
	MOVQ words+40(FP), R10
	MOVQ mask+48(FP), R11
	MOVQ multiplier<>(SB), R12
	ADDQ SI, CX
	ADDQ SI, DX
	LEAQ (R8)(R8*2), R9

four:
	SAMPLE((CX), AX, BX)
	JCS first
	SAMPLE((CX)(R8*1), AX, BX)
	JCS second
	SAMPLE((CX)(R8*2), AX, BX)
	JCS third
	SAMPLE((CX)(R9*1), AX, BX)
	JCS fourth
	LEAQ (CX)(R8*4), CX
	CMPQ CX, DX
	JLE four
	JMP first

fourth:
	ADDQ R9, CX
	JMP first

third:
	LEAQ (CX)(R8*2), CX
	JMP first

second:
	ADDQ R8, CX

first:
	SUBQ SI, CX
	MOVQ CX, ret+56(FP)
	RET

// func gateVBMI(text *byte, blocks int, into *gate, t *classTable)
//
// It looks the class of 64 bytes up at once. A group of four is one of a run
// where none has the class of other bytes, and likewise for pairs.
TEXT ·gateVBMI(SB), NOSPLIT, $0-32
	MOVQ text+0(FP), SI
	MOVQ blocks+8(FP), CX
	MOVQ into+16(FP), DI
	MOVQ t+24(FP), AX
	LEAQ 864(DI), BX
	LEAQ 536(DI), R12
	LEAQ 736(DI), DX
	ADDQ $8, DI
	XORL R8, R8
	VMOVDQU64 (AX), Z0
	VMOVDQU64 64(AX), Z1
	MOVL $0x7f, AX
	VPBROADCASTB AX, Z2
	MOVL $10, AX
	VPBROADCASTB AX, Z3
	MOVL $1, AX
	VPBROADCASTB AX, Z5
	MOVL $2, AX
	VPBROADCASTB AX, Z6
	MOVL $4, AX
	VPBROADCASTB AX, Z7
	KXORQ K5, K5, K5

loop:
	VMOVDQU64 (SI)(R8*1), Z8
	PREFETCHT0 512(SI)(R8*1)
	VPMINUB Z8, Z2, Z4
	VPERMI2B Z1, Z0, Z4
	VPCMPEQB Z8, Z3, K4
	VPTESTMB Z5, Z4, K1
	VPTESTNMD Z6, Z4, K2
	VPTESTNMQ Z7, Z4, K3
	KMOVQ K4, R13
	KMOVQ K1, (DI)
	KMOVW K2, (R12)
	KMOVB K3, (DX)
	KORQ K1, K5, K5

	// The first line end goes without a branch: few blocks have another.
	BSFQ R13, AX
	ADDL R8, AX
	MOVW AX, (BX)
	LEAQ 2(BX), AX
	LEAQ -1(R13), R9
	TESTQ R13, R13
	CMOVQNE AX, BX
	ANDQ R13, R9
	JNE more
next:
	ADDQ $64, R8
	ADDQ $8, DI
	ADDQ $2, R12
	INCQ DX
	DECQ CX
	JNZ loop

	KMOVQ K5, R10
	MOVQ into+16(FP), AX
	MOVQ R10, 9064(AX)
	LEAQ 864(AX), R9
	SUBQ R9, BX
	SHRQ $1, BX
	MOVQ BX, 9056(AX)
	VZEROUPPER
	RET

more:
	MOVQ R9, R13
	BSFQ R13, AX
	ADDL R8, AX
	MOVW AX, (BX)
	ADDQ $2, BX
	LEAQ -1(R13), R9
	ANDQ R13, R9
	JNE more
	JMP next

// func digitsVBMI(text *byte, windows int, out *digitWindow, classes *[128]byte)
TEXT ·digitsVBMI(SB), NOSPLIT, $0-32
	MOVQ text+0(FP), SI
	MOVQ windows+8(FP), CX
	MOVQ out+16(FP), DI
	MOVQ classes+24(FP), AX
	VMOVDQU64 (AX), Z0
	VMOVDQU64 64(AX), Z1
	MOVL $0x7f, AX
	VPBROADCASTB AX, Z2
	MOVL $2, AX
	VPBROADCASTB AX, Z3
	MOVL $8, AX
	VPBROADCASTB AX, Z4
	MOVL $16, AX
	VPBROADCASTB AX, Z5
	MOVL $32, AX
	VPBROADCASTB AX, Z6
	MOVL $64, AX
	VPBROADCASTB AX, Z7
	MOVL $128, AX
	VPBROADCASTB AX, Z8

each:
	VPMINUB (SI), Z2, Z9
	VPERMI2B Z1, Z0, Z9
	VPTESTNMB Z3, Z9, K1
	VPTESTMB Z4, Z9, K2
	VPTESTMB Z5, Z9, K3
	VPTESTMB Z6, Z9, K4
	VPTESTMB Z7, Z9, K5
	VPTESTMB Z8, Z9, K6
	KMOVQ K1, R8  // digits
	KMOVQ K2, R9  // first
	KMOVQ K3, R10 // second
	KMOVQ K4, R11 // third
	KMOVQ K5, R12 // hexadecimal
	KMOVQ K6, R13 // high

	// R9: four groups of four digits that are text.
	SHRQ $1, R10
	ANDQ R10, R9
	SHRQ $2, R11
	ANDQ R11, R9
	SHRQ $3, R8
	ANDQ R8, R9
	MOVQ R9, R8
	SHRQ $4, R8
	ANDQ R8, R9
	MOVQ R9, R8
	SHRQ $8, R8
	ANDQ R8, R9

	// R10: six pairs of hexadecimal digits that are text.
	SHRQ $1, R12
	ANDQ R12, R13
	MOVQ R13, R8
	SHRQ $2, R8
	ANDQ R13, R8  // two
	MOVQ R8, R10
	SHRQ $4, R10
	ANDQ R8, R10  // four
	SHRQ $8, R8
	ANDQ R8, R10  // six

	MOVQ R9, (DI)
	MOVQ R10, 8(DI)
	ADDQ $16, DI
	ADDQ $48, SI
	DECQ CX
	JNZ each

	VZEROUPPER
	RET

DATA small<>+0(SB)/1, $0x0f
DATA small<>+1(SB)/1, $0x0a
GLOBL small<>(SB), RODATA|NOPTR, $2

// func gateAVX2(text *byte, blocks int, into *gate, t *classTable)
TEXT ·gateAVX2(SB), NOSPLIT, $0-32
	MOVQ text+0(FP), SI
	MOVQ blocks+8(FP), CX
	MOVQ into+16(FP), DI
	MOVQ t+24(FP), AX
	LEAQ 864(DI), BX
	LEAQ 536(DI), R12
	LEAQ 736(DI), DX
	ADDQ $8, DI
	XORL R8, R8
	VBROADCASTI128 128(AX), Y0 // high halves
	VBROADCASTI128 144(AX), Y1 // special bytes
	VBROADCASTI128 160(AX), Y2 // runs
	VBROADCASTI128 176(AX), Y3 // pairs and separators
	VPBROADCASTB small<>+0(SB), Y4
	VPBROADCASTB small<>+1(SB), Y12
	VPXOR Y5, Y5, Y5
	XORL R14, R14

loop:
	VMOVDQU (SI)(R8*1), Y6
	VMOVDQU 32(SI)(R8*1), Y7

	// R13: line ends.
	VPCMPEQB Y6, Y12, Y10
	VPCMPEQB Y7, Y12, Y11
	VPMOVMSKB Y10, R13
	VPMOVMSKB Y11, AX
	SHLQ $32, AX
	ORQ AX, R13

	VPSRLW $4, Y6, Y8
	VPSRLW $4, Y7, Y9
	VPAND Y4, Y8, Y8
	VPAND Y4, Y9, Y9
	VPSHUFB Y8, Y0, Y8
	VPSHUFB Y9, Y0, Y9

	// R9: special bytes.
	VPSHUFB Y6, Y1, Y10
	VPSHUFB Y7, Y1, Y11
	VPAND Y8, Y10, Y10
	VPAND Y9, Y11, Y11
	VPCMPEQB Y5, Y10, Y10
	VPCMPEQB Y5, Y11, Y11
	VPMOVMSKB Y10, R9
	VPMOVMSKB Y11, R10
	SHLQ $32, R10
	ORQ R10, R9
	NOTQ R9
	MOVQ R9, (DI)
	ORQ R9, R14

	// R10: groups of runs.
	VPSHUFB Y6, Y2, Y10
	VPSHUFB Y7, Y2, Y11
	VPAND Y8, Y10, Y10
	VPAND Y9, Y11, Y11
	VPCMPEQB Y5, Y10, Y10
	VPCMPEQB Y5, Y11, Y11
	VPCMPEQD Y5, Y10, Y10
	VPCMPEQD Y5, Y11, Y11
	VMOVMSKPS Y10, R10
	VMOVMSKPS Y11, R11
	SHLQ $8, R11
	ORQ R11, R10
	MOVW R10, (R12)

	// R11: groups of pairs.
	VPSHUFB Y6, Y3, Y10
	VPSHUFB Y7, Y3, Y11
	VPAND Y8, Y10, Y10
	VPAND Y9, Y11, Y11
	VPCMPEQB Y5, Y10, Y10
	VPCMPEQB Y5, Y11, Y11
	VPCMPEQQ Y5, Y10, Y10
	VPCMPEQQ Y5, Y11, Y11
	VMOVMSKPD Y10, R11
	VMOVMSKPD Y11, AX
	SHLQ $4, AX
	ORQ AX, R11
	MOVB R11, (DX)

	// The first line end goes without a branch: few blocks have another.
	BSFQ R13, AX
	ADDL R8, AX
	MOVW AX, (BX)
	LEAQ 2(BX), AX
	LEAQ -1(R13), R9
	TESTQ R13, R13
	CMOVQNE AX, BX
	ANDQ R13, R9
	JNE more
next:
	ADDQ $64, R8
	ADDQ $8, DI
	ADDQ $2, R12
	INCQ DX
	DECQ CX
	JNZ loop

	MOVQ R14, R10
	MOVQ into+16(FP), AX
	MOVQ R10, 9064(AX)
	LEAQ 864(AX), R9
	SUBQ R9, BX
	SHRQ $1, BX
	MOVQ BX, 9056(AX)
	VZEROUPPER
	RET

more:
	MOVQ R9, R13
	BSFQ R13, AX
	ADDL R8, AX
	MOVW AX, (BX)
	ADDQ $2, BX
	LEAQ -1(R13), R9
	ANDQ R13, R9
	JNE more
	JMP next

// KNOWN replaces a hash by its bit, the lowest, of the set at R12.
#define KNOWN(hash) \
	MOVQ hash, R9         \
	SHRQ $6, R9           \
	MOVQ (R12)(R9*8), R9  \
	SHRXQ hash, R9, hash

// func openLines(text *byte, lines *uint16, n int, specials *uint64, four *uint64, shift uint64, flags *[256]uint8, into *uint16) int
TEXT ·openLines(SB), NOSPLIT, $0-72
	MOVQ text+0(FP), SI
	MOVQ lines+8(FP), DI
	MOVQ n+16(FP), AX
	LEAQ (DI)(AX*2), AX
	MOVQ AX, n+16(FP) // the end of lines
	MOVQ specials+24(FP), R8
	MOVQ flags+48(FP), R14
	MOVQ into+56(FP), CX
	MOVL $0x20202020, AX
	MOVQ AX, X0
	PSHUFD $0, X0, X0

each:
	MOVWLZX (DI), AX
	XORL R11, R11
	TESTQ R8, R8
	JEQ plain

	// R11: special bytes near the line end.
	LEAQ 52(AX), BX
	MOVQ BX, DX
	SHRQ $6, DX
	MOVQ 8(R8)(DX*8), R12
	MOVQ (R8)(DX*8), R11
	ADDQ R12, R12
	SHRXQ BX, R11, R11
	NOTQ BX
	SHLXQ BX, R12, R12
	ORQ R12, R11
	ANDQ $0x1ffffff, R11

plain:
	// DX: where the line ends, without a space.
	XORL R13, R13
	CMPB -1(SI)(AX*1), $32
	SETEQ R13
	MOVQ AX, DX
	SUBQ R13, DX

	// R11: flags of the bytes around it.
	MOVBLZX -1(SI)(DX*1), R13
	MOVBLZX (R14)(R13*1), R13
	MOVBLZX 1(SI)(AX*1), BX
	MOVBLZX (R14)(BX*1), BX
	ANDL $2, BX
	ORQ BX, R11

	// A line without a space at its end may be digits, and one with a space
	// shortly before a digit pairs of them.
	MOVOU -16(SI)(DX*1), X1
	PCMPEQB X0, X1
	PMOVMSKB X1, R12
	XORL BX, BX
	TESTL R12, R12
	SETEQ BX
	ORQ BX, R11
	XORL BX, BX
	TESTL $0x7800, R12
	SETNE BX
	LEAL 1(BX*8), BX
	ANDL R13, BX
	ORQ BX, R11

	// BX: four bytes on each side. Their grams that have three bytes before the line
	// end (R10), and one (R13): few lines have one that is known.
	MOVL -4(SI)(DX*1), BX
	MOVL 1(SI)(AX*1), R9
	SHLQ $32, R9
	ORQ R9, BX
	MOVQ BX, R10
	MOVQ BX, R13
	SHRQ $8, R10
	SHRQ $24, R13
	MOVL R10, R10
	MOVL R13, R13
	IMULQ multiplier<>(SB), R10
	IMULQ multiplier<>(SB), R13
	MOVQ shift+40(FP), R12
	SHRXQ R12, R10, R10
	SHRXQ R12, R13, R13
	MOVQ four+32(FP), R12
	KNOWN(R10)
	KNOWN(R13)
	MOVQ R10, R9
	ORQ R13, R9
	ANDL $1, R9
	ORQ R11, R9
	JNE grams

drop:
	ADDQ $2, DI
	CMPQ DI, n+16(FP)
	JNE each
	JMP counted

grams:
	TESTQ R11, R11
	JNE keep

	// A pattern has eight bytes, and so another one: the four before (DX), or those
	// behind (BX).
	MOVL BX, DX
	SHRQ $32, BX
	IMULQ multiplier<>(SB), DX
	IMULQ multiplier<>(SB), BX
	MOVQ shift+40(FP), R9
	SHRXQ R9, DX, DX
	SHRXQ R9, BX, BX
	KNOWN(DX)
	KNOWN(BX)
	ANDQ DX, R10
	ANDQ BX, R13
	ORQ R13, R10
	TESTQ $1, R10
	JEQ drop

keep:
	MOVW AX, (CX)
	ADDQ $2, CX
	JMP drop

counted:
	MOVQ CX, AX
	MOVQ lines+8(FP), BX
	SUBQ BX, AX
	SHRQ $1, AX
	MOVQ AX, ret+64(FP)
	RET

// func threes(set *uint64, words int) uint64
//
// It has a bit for each word of a set in which three that follow each other
// begin, of up to 64. It reads up to eight words more, and the one behind them.
TEXT ·threes(SB), NOSPLIT, $0-24
	MOVQ set+0(FP), SI
	MOVQ words+8(FP), CX
	XORL AX, AX
	XORL DX, DX

eight:
	VMOVDQU64 (SI), Z0
	VMOVDQU64 8(SI), Z1
	VPSRLQ $1, Z0, Z2
	VPSLLQ $63, Z1, Z3
	VPSRLQ $2, Z0, Z4
	VPSLLQ $62, Z1, Z5
	VPORQ Z2, Z3, Z2
	VPORQ Z4, Z5, Z4
	VPANDQ Z0, Z2, Z2
	VPTESTMQ Z2, Z4, K1
	KMOVB K1, BX
	SHLXQ DX, BX, BX
	ORQ BX, AX
	ADDQ $64, SI
	ADDQ $8, DX
	CMPQ DX, CX
	JLT eight

	VZEROUPPER
	MOVQ AX, ret+16(FP)
	RET

// func decodeVBMI(dst, digits *byte, blocks int, values *[128]byte, order *[64]byte)
//
// It decodes blocks of 64 digits to 48 bytes each, and writes 16 bytes more.
TEXT ·decodeVBMI(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ digits+8(FP), SI
	MOVQ blocks+16(FP), CX
	MOVQ values+24(FP), AX
	VMOVDQU64 (AX), Z0
	VMOVDQU64 64(AX), Z1
	MOVQ order+32(FP), AX
	VMOVDQU64 (AX), Z2
	MOVL $0x01400140, AX
	VPBROADCASTD AX, Z3
	MOVL $0x00011000, AX
	VPBROADCASTD AX, Z4

each:
	VMOVDQU64 (SI), Z5
	VPERMI2B Z1, Z0, Z5
	VPMADDUBSW Z3, Z5, Z5
	VPMADDWD Z4, Z5, Z5
	VPERMB Z5, Z2, Z5
	VMOVDQU64 Z5, (DI)
	ADDQ $64, SI
	ADDQ $48, DI
	DECQ CX
	JNZ each

	VZEROUPPER
	RET

// func digitsLengthVBMI(text *byte, n int, classes *[128]byte) int
//
// It is how many digits stand at the beginning of n bytes.
TEXT ·digitsLengthVBMI(SB), NOSPLIT, $0-32
	MOVQ text+0(FP), SI
	MOVQ n+8(FP), DX
	MOVQ classes+16(FP), AX
	VMOVDQU64 (AX), Z0
	VMOVDQU64 64(AX), Z1
	MOVL $0x7f, AX
	VPBROADCASTB AX, Z2
	MOVL $2, AX
	VPBROADCASTB AX, Z3
	XORL R8, R8
	MOVQ $-1, R10

each:
	// Bytes behind the end are read as zeros, which are no digits.
	XORL R9, R9
	CMPQ DX, $64
	JGE whole
	SHLXQ DX, R10, R9
whole:
	NOTQ R9
	KMOVQ R9, K1
	VMOVDQU8.Z (SI)(R8*1), K1, Z4
	VPMINUB Z4, Z2, Z4
	VPERMI2B Z1, Z0, Z4
	VPTESTMB Z3, Z4, K2
	KMOVQ K2, AX
	TESTQ AX, AX
	JNE found
	ADDQ $64, R8
	SUBQ $64, DX
	JG each
	VZEROUPPER
	MOVQ R8, ret+24(FP)
	RET

found:
	BSFQ AX, AX
	ADDQ R8, AX
	VZEROUPPER
	MOVQ AX, ret+24(FP)
	RET
