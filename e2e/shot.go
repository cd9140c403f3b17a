package e2e

import "fmt"

// shot names a picture: the piece of the recording it belongs to, and its
// number there. The picture tells it itself, in blocks of black and white along
// its top: twelve in a row that spell the shot, and a row of their opposites.
type shot struct{ piece, number int }

const (
	shotRate    = 30 // pictures a second
	shotColumns = 12
	shotNumbers = 1 << 9 // of a piece, at most
)

func (s shot) String() string { return fmt.Sprintf("%d/%d", s.piece, s.number) }

// shotOf reads the luma of the blocks, from left to right. It is false when
// they do not tell.
func shotOf(blocks []byte) (shot, bool) {
	code := 0
	for i, b := range blocks[:shotColumns] {
		if (b > 127) == (blocks[shotColumns+i] > 127) {
			return shot{}, false
		}
		code <<= 1
		if b > 127 {
			code++
		}
	}
	return shot{code / shotNumbers, code % shotNumbers}, true
}

// shotBlocks is a source of ffmpeg's: the blocks of a piece's pictures, as wide
// as these, and two ninths as high.
func shotBlocks(piece, width, height int) string {
	return fmt.Sprintf("color=size=%[2]dx2:rate=%[1]d,format=gray,geq=lum='16+219*abs(mod(floor((N+%[3]d)/pow(2,%[2]d-1-X)),2)-Y)',scale=%[4]d:%[5]d:flags=neighbor",
		shotRate, shotColumns, piece*shotNumbers, width, height*2/9)
}
