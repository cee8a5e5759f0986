# The driver of test_system_programs: runs one block of instructions after another, and logs each interrupt.
#
# SPRG0 and SPRG1 hold R1 and R2 while the handler works; SPRG3 holds the log's end.  A block ends in `sc` with
# LAST in R0, or where it cannot go on; any other interrupt goes on behind the instruction that caused it.
	.machine	ppc64
	.set	LAST, 0x7777
	.set	SIZE, 512
	.set	SE_BE, 0x600

	b	start
	.irp	vector, 0x200,0x300,0x380,0x400,0x480,0x500,0x600,0x700,0x800,0x900,0xC00,0xD00,0xF00,0xF20
	.org	\vector
	mtsprg	0, 1
	li	1, \vector
	b	log
	.endr

	.org	0x3000
start:	lis	1, LOG@h
	mtsprg	3, 1
	lis	1, TABLE@h
	mtspr	25, 1
	lis	31, BLOCKS@h
	b	next

log:	mtsprg	1, 2
	mfsprg	2, 3
	std	1, 0(2)
	mfspr	1, 26
	std	1, 8(2)
	mfspr	1, 27
	std	1, 16(2)
	mfspr	1, 19
	std	1, 24(2)
	mfspr	1, 18
	std	1, 32(2)
	mfcr	1
	std	1, 40(2)
	mfxer	1
	std	1, 48(2)
	mflr	1
	std	1, 56(2)
	mfctr	1
	std	1, 64(2)
	mfmsr	1
	std	1, 72(2)
	mfsprg	1, 0
	std	1, 80(2)
	mfsprg	1, 1
	std	1, 88(2)
	std	0, 96(2)
	.irp	n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	std	\n, 80+8*\n(2)
	.endr
	addi	1, 2, SIZE
	mtsprg	3, 1
	lis	1, LOG_END@h
	cmpld	2, 1
	bge	finish

	ld	1, 0(2)
	cmpdi	1, 0xC00
	beq	call
	cmpdi	1, 0xD00
	beq	trace
	cmpdi	1, 0x200
	beq	block_done
	cmpdi	1, 0x400
	beq	block_done
	cmpdi	1, 0x480
	beq	block_done
	mfspr	1, 26			# what cannot be done is passed over
	addi	1, 1, 4
	mtspr	26, 1
	b	return
call:	cmpdi	0, LAST
	beq	block_done
	b	return
trace:	rlwinm	1, 2, 23, 29, 31	# tracing ends with every eighth interrupt: SRR0 and SRR1 were the program's
	cmpdi	1, 0
	bne	return
	mfspr	1, 27
	ori	1, 1, SE_BE
	xori	1, 1, SE_BE
	mtspr	27, 1
return:	ld	1, 40(2)
	mtcr	1
	mfsprg	1, 0
	mfsprg	2, 1
	rfid

block_done:
	ld	31, block(0)
	addi	31, 31, SIZE
next:	std	31, block(0)
	ld	1, 0(31)
	cmpdi	1, 0
	beq	finish
	slbia				# leaves entry 0, which never changes
	li	30, SEGMENTS
1:	ld	4, 8(30)
	cmpdi	4, 0
	beq	2f
	ld	3, 0(30)
	slbmte	3, 4
	addi	30, 30, 16
	b	1b
2:	isync
	ld	1, 0(31)
	mtspr	26, 1
	ld	1, 8(31)
	mtspr	27, 1
	ld	1, 16(31)
	mtxer	1
	ld	1, 24(31)
	mtlr	1
	ld	1, 32(31)
	mtctr	1
	ld	1, 40(31)
	mtcr	1
	li	1, 0
	mtspr	18, 1
	mtspr	19, 1
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
	ld	\n, 64+8*\n(31)
	.endr
	ld	31, 64+8*31(31)
	rfid

finish:	li	1, 1
	stw	1, DONE(0)
	b	.
	.balign	8
block:	.quad	0
